"""Remembers every retained topic and Home Assistant component, so that those of removed cameras are withdrawn."""

import json
from typing import Any, Final

from edged.config import Config
from edged.daemon.state import kept_topics
from edged.errors import StoreError
from edged.messages import OUTPUT
from edged.publish import device_discovery, platforms
from edged.store import MetaRow, StoreReader
from edged.store.reader import parsed_json
from edged.store.worker import StoreWorker

COMPONENTS, TOPICS = "announced", "retained"
"""Under which the store remembers them."""

UNKNOWN: Final = object()

MOST_TOPICS = 150
"""So many are remembered, those in use first: sixteen cameras have not a third as many."""


class Announced:
    """What this device ever had the broker retain. Removed cameras are withdrawn at every start and reload: a broker that was
    away when a camera was removed does not say so.
    """

    def __init__(self, reader: StoreReader, store: StoreWorker) -> None:
        self._reader, self._store = reader, store
        self._components: dict[str, str] = {}
        self._topics: list[str] = []

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
        formerly = [topic for topic in stored if isinstance(topic, str)] if isinstance(stored, list) else []
        now = [topic for name, camera in config.camera.items() for topic in kept_topics(name, camera.tasks)]
        now += [OUTPUT.at(name) for name in config.output]
        self._topics = list(dict.fromkeys([*now, *formerly, *self._topics]))[:MOST_TOPICS]
        self._remember(TOPICS, stored, self._topics)
        return [topic for topic in self._topics if topic not in now]

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
