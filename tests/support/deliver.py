"""Delivers what waits in an outbox, says by how many MB it grew, and ends: `python -m support.deliver DATABASE PORT`.

With a third argument it kills itself (SIGKILL) at so many acknowledgements of the broker: always in the middle of its
backlog, however busy the machine is.
"""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edged.host.device import resident_mb
from edged.publish import Publisher, Timing
from edged.store import Store, StoreReader
from edged.store.worker import StoreWorker
from support.mosquitto import until
from support.publishing import mqtt_config

BACK_SOON = replace(Timing(), first_delay_s=0.1, longest_delay_s=1.0)
"""The daemon's own times, but for the wait between two attempts."""
LAST = 50
"""So many acknowledgements come at once, right before the process is killed."""
WARM = 500
"""Messages after which all buffers have their size."""


def until_killed_at(
    acknowledgements: int, acknowledge: Callable[[int], None], depth: Callable[[], int]
) -> Callable[[int], None]:
    """`acknowledge`, which the process does not survive when it is called so often.

    All but the last LAST acknowledgements are on the disk then.
    """
    numbers, at_first = itertools.count(1), depth()

    def counted(seq: int) -> None:
        number = next(numbers)
        acknowledge(seq)
        if number == acknowledgements - LAST:
            assert until(lambda: depth() <= at_first - number, 120)
        if number == acknowledgements:
            os.kill(os.getpid(), signal.SIGKILL)

    return counted


def main() -> None:
    path, port = Path(sys.argv[1]), int(sys.argv[2])
    reader = StoreReader(path)
    worker = StoreWorker(Store(path), committed=lambda: None, upkeep=lambda store: None, reopen=lambda: Store(path))
    config = mqtt_config(port)
    acknowledge = worker.acknowledge
    if len(sys.argv) > 3:
        acknowledge = until_killed_at(int(sys.argv[3]), acknowledge, StoreReader(path).outbox_depth)
    publisher = Publisher(config, "dev1", reader, acknowledge, discovery=None, password=None, timing=BACK_SOON)
    depth = reader.outbox_depth()
    worker.start()
    publisher.start()
    assert until(lambda: reader.outbox_depth() < depth - WARM or not reader.outbox_depth(), 120)
    before_mb = resident_mb()
    while reader.outbox_depth():
        time.sleep(0.1)
    grown_mb = resident_mb() - before_mb
    publisher.stop(2)
    assert worker.stop(10)
    worker.close()
    print(grown_mb)


if __name__ == "__main__":
    main()
