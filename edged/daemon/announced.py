"""Remembers every retained topic and Home Assistant component, and below which prefix and name, so that those that are gone are
withdrawn.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from edged.config import Config
from edged.daemon.state import kept_topics
from edged.errors import StoreError
from edged.messages import AVAILABILITY, OUTPUT, REPORT_DAILY, STATE
from edged.publish import Former, device_discovery, discovery_topic, platforms
from edged.store import MetaRow, StoreReader
from edged.store.reader import parsed_json
from edged.store.worker import StoreWorker

COMPONENTS, TOPICS, PLACE, FORMER = "announced", "retained", "published_as", "published_before"
"""Under which the store remembers them."""

UNKNOWN: Final = object()

MOST_TOPICS = 150
"""So many are remembered, those in use first: sixteen cameras have not a third as many."""

MOST_FORMER = 4
"""So many former places are remembered, the newest."""

OF_THE_DEVICE = [topic.at() for topic in (STATE, REPORT_DAILY, AVAILABILITY)]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where this device publishes."""

    root: str
    discovery: str | None
    """Where its description for Home Assistant is, or was."""


class Announced:
    """What this device ever had the broker retain. Removed cameras are withdrawn at every start and reload: a broker that was
    away when a camera was removed does not say so.
    """

    def __init__(self, reader: StoreReader, store: StoreWorker) -> None:
        self._reader, self._store = reader, store
        self._components: dict[str, str] = {}
        self._topics: list[str] = []
        self._place: _Place | None = None
        self._lock = threading.Lock()
        self._former: list[Former] | None = None
        """None until it was read."""

    def discovery(self, config: Config, device: str) -> dict[str, Any]:
        """The Home Assistant discovery payload: present components, and removed ones to be withdrawn."""
        stored = self._stored(COMPONENTS)
        formerly = (stored if isinstance(stored, dict) else {}) | self._components
        discovery = device_discovery(config, device, formerly)
        self._components = platforms(discovery)
        self._remember(COMPONENTS, stored, self._components)
        return discovery

    def was_introduced(self) -> bool:
        """Whether Home Assistant was ever sent a discovery payload; False while the database cannot be read."""
        stored = self._stored(COMPONENTS)
        return bool(self._components or (isinstance(stored, dict) and stored))

    def gone(self, config: Config) -> list[str]:
        """The relative topics that once held a value, and with this config never will."""
        stored = self._stored(TOPICS)
        now = _kept(config)
        self._topics = list(dict.fromkeys([*now, *_texts(stored), *self._topics]))[:MOST_TOPICS]
        self._remember(TOPICS, stored, self._topics)
        return [topic for topic in self._topics if topic not in now]

    def former(self, config: Config, device: str) -> list[Former]:
        """What the broker may still keep of this device, from before its prefix, name or discovery prefix was changed."""
        topic = discovery_topic(config.mqtt, device)
        introduced = config.mqtt.discovery or self.was_introduced()
        now = _Place(f"{config.mqtt.prefix}/{device}", topic if introduced else None)
        place, stored, topics = self._stored(PLACE), self._stored(FORMER), self._stored(TOPICS)
        if UNKNOWN in (place, stored, topics):
            return []  # the next start compares with what is in it
        with self._lock:
            known = list(_formers(stored)) if self._former is None else self._former
            known = known + _left_behind(self._place or _place(place), now, [*_texts(topics), *self._topics])
            in_use = {topic, *(f"{now.root}/{name}" for name in (*OF_THE_DEVICE, *_kept(config)))}
            self._former = list(_without(known, in_use, now.root))[-MOST_FORMER:]
            self._place = now
            rows = [MetaRow(PLACE, json.dumps(asdict(now)))]
            if self._former or stored:
                rows.append(self._former_row())
            self._store.submit(rows)
            return list(self._former)

    def withdrawn(self, former: Former) -> None:
        """The broker has forgotten it. From any thread."""
        with self._lock:
            self._former = [one for one in self._former or () if one != former]
            self._store.submit([self._former_row()])

    def _former_row(self) -> MetaRow:
        return MetaRow(FORMER, json.dumps([asdict(one) for one in self._former or ()]))

    def _stored(self, key: str) -> Any:
        """What is remembered under `key`, None when nothing is; UNKNOWN while the database cannot be read."""
        try:
            return parsed_json(self._reader.meta(key))
        except StoreError:
            return UNKNOWN

    def _remember(self, key: str, stored: Any, value: object) -> None:
        """What could not be read is not overwritten: the next start withdraws what is in it."""
        if stored is not UNKNOWN:
            self._store.submit([MetaRow(key, json.dumps(value))])


def _kept(config: Config) -> list[str]:
    """The relative topics of cameras and outputs that the broker keeps a value of."""
    cameras = [topic for name, camera in config.camera.items() for topic in kept_topics(name, camera.tasks)]
    return [*cameras, *(OUTPUT.at(name) for name in config.output)]


def _left_behind(before: _Place | None, now: _Place, topics: list[str]) -> list[Former]:
    """What is still where the device published `before`, and not where it does `now`."""
    if before is None or before == now:
        return []
    discovery = before.discovery if before.discovery != now.discovery else None
    elsewhere = before.root != now.root
    return [Former(before.root, tuple(dict.fromkeys([*OF_THE_DEVICE, *topics])) if elsewhere else (), discovery)]


def _without(known: list[Former], in_use: set[str], root: str) -> Iterator[Former]:
    """What of these is to be withdrawn: nothing that is in use again. Below `root` the device itself clears up."""
    for one in dict.fromkeys(known):
        topics = () if one.root == root else tuple(name for name in one.topics if f"{one.root}/{name}" not in in_use)
        discovery = None if one.discovery in in_use else one.discovery
        if topics or discovery:
            yield Former(one.root, topics[:MOST_TOPICS], discovery)


def _texts(stored: Any) -> list[str]:
    return [text for text in stored if isinstance(text, str)] if isinstance(stored, list) else []


def _place(stored: Any) -> _Place | None:
    """None where nothing is remembered, or nothing that could be."""
    if not isinstance(stored, dict) or not isinstance(stored.get("root"), str):
        return None
    discovery = stored.get("discovery")
    return _Place(stored["root"], discovery if isinstance(discovery, str) else None)


def _formers(stored: Any) -> Iterator[Former]:
    for one in stored if isinstance(stored, list) else ():
        if (place := _place(one)) is not None:
            yield Former(place.root, tuple(_texts(one.get("topics"))), place.discovery)
