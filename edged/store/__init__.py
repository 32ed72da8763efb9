"""Keeps events in SQLite: one writing connection, everything of one moment in one transaction."""

from typing import TYPE_CHECKING, Any

from edged.records import (
    Acknowledged,
    Change,
    CoverageMinute,
    EncounterRemoved,
    EncounterRow,
    EventRecord,
    LocalTime,
    Message,
    MetaRow,
    ReportRow,
    ReportWithdrawn,
)
from edged.store.reader import StoreReader, lasted_ms

if TYPE_CHECKING:
    from edged.store.writer import Store

__all__ = [
    "Acknowledged",
    "Change",
    "CoverageMinute",
    "EncounterRemoved",
    "EncounterRow",
    "EventRecord",
    "LocalTime",
    "Message",
    "MetaRow",
    "ReportRow",
    "ReportWithdrawn",
    "Store",
    "StoreReader",
    "lasted_ms",
]


def __getattr__(name: str) -> Any:
    """What writes comes with sqlite-utils, which brings NumPy where that is: not for those who only read."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edged.store.writer import Store

    return Store
