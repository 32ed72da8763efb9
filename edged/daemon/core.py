"""What lives as long as the process and no reload replaces: the record, the clock, and what is known of the cameras' states."""

from dataclasses import dataclass

from edged.config import Config
from edged.daemon.announced import Announced
from edged.daemon.database import Record
from edged.daemon.meters import Meters
from edged.daemon.outbound import Outbound
from edged.daemon.pause import PAUSE, Pauses
from edged.daemon.state import CameraWatch
from edged.host.clock import WatchedClock
from edged.host.device import device_id
from edged.live.view import LiveView
from edged.ports import Clock
from edged.records import MetaRow
from edged.store import StoreReader
from edged.store.recorder import Recorder
from edged.store.worker import StoreWorker


@dataclass(frozen=True, slots=True)
class Core:
    """The parts that every runtime of one process shares. Sections of the config that shape them need a restart."""

    device: str
    clock: WatchedClock
    store: StoreWorker
    reader: StoreReader
    recorder: Recorder
    """The main thread's."""
    outbound: Outbound
    announced: Announced
    watch: CameraWatch
    live: LiveView
    pauses: Pauses
    meters: Meters


def open_core(config: Config, clock: Clock) -> Core:
    """Every part of `Core`. No thread runs yet. Raise StoreError when the database is unusable; see `Record`."""
    outbound = Outbound(config.channels)
    record = Record(config, clock, outbound)
    record.begin()
    worker, reader = record.worker, StoreReader(config.store.path)
    return Core(
        device=device_id(config.device.id),
        clock=record.clock,
        store=worker,
        reader=reader,
        recorder=record.recorder,
        outbound=outbound,
        announced=Announced(reader, worker),
        watch=CameraWatch(record.recorder, record.clock, outbound.retain),
        live=LiveView(record.clear_view),
        pauses=Pauses(record.clock, record.stored(PAUSE), lambda text: worker.submit([MetaRow(PAUSE, text)])),
        meters=Meters(record.clock, worker.submit),
    )
