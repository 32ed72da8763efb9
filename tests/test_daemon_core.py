"""What the process keeps: a disk that is full at any moment of the start stops nothing but storing, and holds no lock."""

from pathlib import Path

import pytest
from support.storing import HandClock

from edged.config import Config, StoreConfig
from edged.daemon.core import open_core
from edged.store import Store
from edged.store.recovery import StoreFull


def test_a_disk_that_is_full_when_the_record_is_put_in_order_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edged.db"
    Store(path).close()

    def full(_: Store) -> None:
        raise StoreFull(f"{path}: the disk is full; free some space")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "close_encounters", full)
        open_core(Config(store=StoreConfig(path=path)), HandClock())
    Store(path).close()  # nobody holds the lock
