"""Keeps events in SQLite: one writing connection, everything of one moment in one transaction."""

from edged.store.reader import StoreReader, lasted_ms
from edged.store.rows import (
    Acknowledged,
    Change,
    CoverageMinute,
    EncounterRemoved,
    EncounterRow,
    EventEnded,
    EventStarted,
    EventUpdated,
    MetaRow,
    OutboxMessageRow,
    ReportRow,
    ReportWithdrawn,
)
from edged.store.writer import Store

__all__ = [
    "Acknowledged",
    "Change",
    "CoverageMinute",
    "EncounterRemoved",
    "EncounterRow",
    "EventEnded",
    "EventStarted",
    "EventUpdated",
    "MetaRow",
    "OutboxMessageRow",
    "ReportRow",
    "ReportWithdrawn",
    "Store",
    "StoreReader",
    "lasted_ms",
]
