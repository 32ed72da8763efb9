"""Ignores one key of the config after the other, and says which the table of `tests/test_settings_have_effect.py` misses."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import BaseModel
from test_settings_have_effect import ROWS, Row, play, written

from edged.config import CameraConfig, Config
from edged.config.load import OUTPUT_KINDS, parse_config

WITHOUT_DEFAULT = {"camera.source": "images:///FOLDER?fps=10", "store.path": Path("edged.db")}
"""What is read instead of a key that has no default, or one that must not be used here."""


def ignored(key: str) -> Any:
    """Whoever reads the key from now on gets its default, whatever the config says."""
    table, name = key.rsplit(".", 1)
    kind = table.removeprefix("output.")
    models: dict[str, Any] = {"camera": CameraConfig, **OUTPUT_KINDS}
    section: type[BaseModel] = models.get(kind) or Config.model_fields[table].annotation
    default = WITHOUT_DEFAULT.get(key, section.model_fields[name].get_default(call_default_factory=True))
    return patch.object(section, name, property(lambda _: default), create=True)


def turns_red(row: Row) -> bool:
    """Whether the row fails when its key is ignored, once the file has been validated or where it is."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch, ExitStack() as ignoring:

        def parsed(*given: Any) -> Config:
            if row.fact == "refused":  # the key decides what else is allowed, and nothing later
                ignoring.enter_context(ignored(row.key))
            config = parse_config(*given)
            ignoring.enter_context(ignored(row.key))
            return config

        monkeypatch.setattr("test_settings_have_effect.parse_config", parsed)
        keys = {written(row.key): row.value}
        try:
            return bool(play(row, Path(folder) / "after", keys, monkeypatch) != row.after)
        except Exception as error:  # noqa: BLE001  a product that breaks is noticed too
            print(f"{row.key}: {type(error).__name__} {error}")
            return True


def main(tables: list[str]) -> int:
    """Of all tables, or of those whose names begin with one of `tables`, as "output" or "privacy"."""
    rows = [row for row in ROWS if row.key.startswith(tuple(tables) or "")]
    keys = {row.key for row in rows}
    missed = {row.key for row in rows if not turns_red(row)}
    print(f"{len(keys) - len(missed)} of {len(keys)} ignored keys turn the table red", *sorted(missed), sep="\n  not: ")
    return bool(missed or not keys)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
