"""What lives as long as the process and no reload replaces: the record, the clock, and what is known of the cameras' states."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edged import __version__
from edged.config import Config
from edged.daemon.announced import Announced
from edged.daemon.meters import Meters
from edged.daemon.pause import PAUSE, Pauses
from edged.daemon.supervision import CameraWatch
from edged.deliver import ChannelWorker
from edged.errors import StoreError
from edged.host.clock import WatchedClock
from edged.host.device import device_id
from edged.live.view import LiveView
from edged.ports import Clock
from edged.publish import Publisher
from edged.records import Channel, Message, MetaRow
from edged.store import Store, StoreReader
from edged.store.files import Loss
from edged.store.recorder import Recorder
from edged.store.recovery import StoreFull
from edged.store.unopened import Unopened
from edged.store.upkeep import Upkeep, known_reckoning
from edged.store.worker import StoreWorker

log = logging.getLogger(__name__)

SystemEvent = Callable[..., None]
"""Takes state, details, and the camera where it is about one."""


class Outbound:
    """The ways out in use at the moment, for parts that outlive them. Thread-safe; nothing here waits."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.publisher: Publisher | None = None
        """Set by `Runtime.start` only, as the next two."""
        self.channels: Sequence[ChannelWorker] = ()
        """The ways out besides the broker."""
        self.limits = limits
        """How many messages may wait for each channel that is configured."""
        self.trimmed: Counter[str] = Counter()
        """How many had to go because more waited, by channel."""

    @property
    def connected(self) -> bool:
        publisher = self.publisher
        return publisher is not None and publisher.connected

    @property
    def problem(self) -> str | None:
        """Why nothing is published, with the remedy; None when all is well, or no broker is configured."""
        publisher = self.publisher
        return publisher.problem if publisher else None

    def status(self, reader: StoreReader) -> dict[str, dict[str, Any]]:
        """What each way out but the broker's has done in this run, and what waits for it."""
        return {
            one.channel: {
                "waiting": waiting(reader, one.channel),
                "sent": one.sent,
                "given_up": one.given_up,
                "dropped": self.trimmed[one.channel],
                "problem": one.problem,
            }
            for one in self.channels
        }

    def wake(self) -> None:
        """There are new messages in the outbox."""
        if publisher := self.publisher:
            publisher.wake()
        for channel in self.channels:
            channel.wake()

    def retain(self, message: Message) -> None:
        """Publish the value of a topic, now and at every connection; without a broker it is dropped."""
        if publisher := self.publisher:
            publisher.retain(message)


def waiting(reader: StoreReader, channel: Channel) -> int | None:
    """How many messages wait for `channel`; None while the database cannot be read."""
    try:
        return reader.outbox_depth(channel)
    except StoreError:
        return None  # the store's own problem is among the errors


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
    """Open the store, put the record in order after the last run, whatever its end, and note that this one began.

    No thread runs yet. A full disk stops nothing but storing. Raise StoreError when the database is unusable otherwise.
    """
    try:
        store = _first_opened(config.store.path)
    except StoreFull as error:  # stops nothing but storing
        store = Unopened(config.store.path, error)
    watched = WatchedClock(clock, known_reckoning(store))
    outbound = Outbound(config.channels)

    def system_event(state: str, details: Mapping[str, object], camera: str = "") -> None:
        """Record what happened to the device; each call has a recorder of its own, since other threads come here."""
        Recorder(watched, worker.submit, publishing=outbound.publisher is not None).system_event(state, details, camera)

    def lost(loss: Loss, gap_from: int | None) -> None:
        system_event("recovered", {"reason": str(loss), "gap_from": gap_from})

    def reopen() -> Store:
        opened = Store(config.store.path) if in_order else _first_opened(config.store.path)
        try:
            if not in_order:
                # Written here and now: as many changes as may wait do so already, and what comes after them is dropped.
                put_in_order(opened, Recorder(watched, opened.write, publishing=outbound.publisher is not None))
            _record_restored(opened, system_event)
        except BaseException:
            opened.close()  # or its lock would keep the next try out
            raise
        return opened

    def put_in_order(opened: Store, recorder: Recorder) -> int:
        """End what the last run left open; return how many events that were."""
        left_open = opened.open_events()
        recorder.end_left_open(left_open, opened.last_known())
        in_order.append(True)
        return len(left_open)

    in_order: list[bool] = []
    """Not empty once that is done: a database that could not be opened at the start is put in order when it can."""

    worker = StoreWorker(
        store,
        committed=outbound.wake,
        upkeep=Upkeep(watched, config.store, system_event, lambda: outbound.limits, outbound.trimmed),
        reopen=reopen,
        lost=lost,
    )
    recorder = Recorder(watched, worker.submit, publishing=config.mqtt.host is not None)
    # Of a database that is not open yet nobody knows what it holds.
    known = {} if store.is_closed else {"left_open": put_in_order(store, recorder)}
    _record_restored(store, recorder.system_event)
    recorder.system_event("started", {"version": __version__, **known})
    reader = StoreReader(config.store.path)
    watch = CameraWatch(recorder, watched, outbound.retain)
    device, announced = device_id(config.device.id), Announced(reader, worker)
    live = LiveView(partial(_clear_view, system_event))
    pauses = Pauses(watched, store.meta(PAUSE), lambda text: worker.submit([MetaRow(PAUSE, text)]))
    meters = Meters(watched, worker.submit)
    return Core(device, watched, worker, reader, recorder, outbound, announced, watch, live, pauses, meters)


def _clear_view(system_event: SystemEvent, camera: str, who: str, reason: str, minutes: int) -> None:
    """Record that somebody sees faces."""
    log.warning("camera %s is seen clearly, at most for %d minutes, by %s: %s", camera, minutes, who, reason)
    system_event("clear_view", {"who": who, "reason": reason, "minutes": minutes}, camera)


def _first_opened(path: Path) -> Store:
    """The store as it is first opened in this run: the passages that a crash left open are closed.

    Raise what `Store` raises; nothing is held then, or its lock would keep the next try out.
    """
    store = Store(path)
    try:
        store.close_encounters()
    except StoreError:
        store.close()
        raise
    return store


def _record_restored(store: Store, system_event: SystemEvent) -> None:
    """Record the gap when a damaged database was replaced."""
    if store.restored is None:
        return
    lost = store.restored
    log.error("%s was damaged; it is kept at %s", store.path, lost.quarantined)
    details = {
        "quarantined": str(lost.quarantined),
        "backup": lost.backup and str(lost.backup),
        "gap_from": lost.gap_from,
    }
    system_event("recovered", details)
