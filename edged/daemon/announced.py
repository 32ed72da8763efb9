"""Remembers what the broker was ever told to keep, so that what is gone, such as a camera, is taken back there."""

import json
from typing import Any

from edged.config import Config
from edged.daemon.supervision import kept_topics
from edged.publish import device_discovery, platforms
from edged.store import MetaRow, StoreReader
from edged.store.reader import parsed_json
from edged.store.worker import StoreWorker

COMPONENTS, TOPICS = "announced", "retained"
"""Under which the store remembers them."""

MOST_TOPICS = 150
"""So many are remembered, those in use first: sixteen cameras have not a third as many."""


class Announced:
    """What this device ever told the broker to keep. It is taken back whenever it is asked for, since no answer tells
    that a broker which was away when a camera went has forgotten it.
    """

    def __init__(self, reader: StoreReader, store: StoreWorker) -> None:
        self._reader, self._store = reader, store
        self._components: dict[str, str] = {}
        self._topics: list[str] = []

    def discovery(self, config: Config, device: str) -> dict[str, Any]:
        """What Home Assistant is told: what there is, and what is no more."""
        stored = parsed_json(self._reader.meta(COMPONENTS))
        formerly = (stored if isinstance(stored, dict) else {}) | self._components
        discovery = device_discovery(config, device, formerly)
        self._components = platforms(discovery)
        self._remember(COMPONENTS, self._components)
        return discovery

    def gone(self, config: Config) -> list[str]:
        """The relative topics that once held a value, and with this config never will."""
        stored = parsed_json(self._reader.meta(TOPICS))
        formerly = [topic for topic in stored if isinstance(topic, str)] if isinstance(stored, list) else []
        now = [topic for name, camera in config.camera.items() for topic in kept_topics(name, camera.wants)]
        self._topics = list(dict.fromkeys([*now, *formerly, *self._topics]))[:MOST_TOPICS]
        self._remember(TOPICS, self._topics)
        return [topic for topic in self._topics if topic not in now]

    def _remember(self, key: str, value: object) -> None:
        self._store.submit([MetaRow(key, json.dumps(value))])
