"""Keeps events in SQLite: one writing connection, everything of one moment in one transaction."""

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
