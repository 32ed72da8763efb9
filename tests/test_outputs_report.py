"""The report says of how many events people were told on the spot, and how soon they answered."""

from datetime import date

import pytest
from report_days import MINUTE, span, watched

from edged.config import Config
from edged.messages import iso
from edged.records import EventRecord
from edged.report import build_report
from edged.report.page import render_html
from edged.store import Store, StoreReader

DAY = date(2026, 6, 2)


def event(number: int, at: int, **details: object) -> EventRecord:
    return EventRecord(
        event_id=f"01HZX00000000000000000000{number}", kind="drowsiness", camera="cab", track=1, state="microsleep", score=0.9,
        votes=None, started_at=at, clock_ok=True, details={"reasons": ["microsleep"], **details}, ended_at=at + MINUTE,
        end_reason="recovered",
    )  # fmt: skip


def answered(at: int, wait_s: int | None) -> dict[str, object]:
    return {} if wait_s is None else {"acknowledged_at": iso(at + wait_s * 1000), "acknowledged_by": "me"}


@pytest.mark.parametrize(
    ("waits_s", "told", "words"),
    [
        ([], None, None),
        (
            [None, None],
            {"events": 2, "acknowledged": 0, "median_s": None, "longest_s": None},
            "signalled 2 events</b>; nobody",
        ),
        (
            [4, None, 8, 60],
            {"events": 4, "acknowledged": 3, "median_s": 8.0, "longest_s": 60.0},
            "signalled 4 events</b>; 3 were",
        ),
    ],
)
def test_who_was_told_and_how_soon_they_answered(tmp_path, waits_s, told, words):
    begin, end = span(DAY, "UTC")
    noon = begin + 720 * MINUTE
    rows = [event(number, noon, told=["buzzer"], **answered(noon, wait)) for number, wait in enumerate(waits_s)]
    with Store(tmp_path / "edged.db") as kept:
        kept.write([*watched(begin, end), event(9, noon), *rows])
        report = build_report(StoreReader(kept.path), Config(), DAY, end)
    assert report.get("told") == told
    page = render_html(report)
    assert ("<h2>Lamps and sounds</h2>" in page) is (told is not None)
    assert words is None or words in page
