"""Coverage of a day: how much of the open time was watched, and where one gap ends and the next begins."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_days import HOUR, MINUTE, new_store, watched

from edged.report.coverage import Gap, Minute, gaps, paused_by, read_coverage, read_pauses, watched_ms
from edged.report.day import Span
from edged.store import EventRecord, StoreReader

HALF = MINUTE // 2


def minutes(*rows: tuple[int, str] | None) -> dict[int, Minute]:
    """One camera's minutes from 0 on, as watched milliseconds and the camera's state; None where there is no row."""
    return {number * MINUTE: Minute(*row) for number, row in enumerate(rows) if row is not None}


def found(rows: dict[int, Minute], *spans: tuple[int, int]) -> list[tuple[int, int, str]]:
    """The gaps in spans that are given in minutes, as first minute, end, and reason."""
    told = gaps("door", rows, [Span(start * MINUTE, end * MINUTE) for start, end in spans])
    assert {gap.camera for gap in told} <= {"door"}
    return [(gap.span.start // MINUTE, gap.span.end // MINUTE, gap.reason) for gap in told]


def test_what_was_watched_is_summed_within_the_spans_only_and_no_minute_counts_for_more_than_itself():
    rows = minutes((MINUTE, "online"), (20_000, "stalled"), None, (MINUTE + 5, "online"), (7, "online"))
    assert watched_ms(rows, [Span(0, 5 * MINUTE)]) == MINUTE + 20_000 + MINUTE + 7
    assert watched_ms(rows, [Span(MINUTE, 2 * MINUTE), Span(4 * MINUTE, 5 * MINUTE)]) == 20_007
    assert watched_ms(rows, [Span(2 * MINUTE, 3 * MINUTE)]) == 0
    assert watched_ms({}, []) == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "not running"),
        ((0, "online"), "not analysed"),
        ((HALF - 1, "online"), "not analysed"),
        ((HALF, "online"), None),
        ((HALF - 1, "stalled"), "stalled"),
        ((HALF, "stalled"), None),
        ((0, "offline"), "offline"),
        ((0, "reconnecting"), "reconnecting"),
    ],
)
def test_a_minute_watched_for_less_than_half_is_a_gap_with_its_reason(row, reason):
    assert found(minutes(row), (0, 1)) == ([] if reason is None else [(0, 1, reason)])


def test_neighbouring_minutes_with_related_reasons_are_one_gap_named_after_the_most_frequent():
    rows = minutes((0, "stalled"), (0, "offline"), (0, "offline"), (0, "reconnecting"))
    assert found(rows, (0, 4)) == [(0, 4, "offline")]


def test_of_reasons_as_frequent_the_first_by_name_names_the_gap():
    assert found(minutes((0, "stalled"), (0, "offline")), (0, 2)) == [(0, 2, "offline")]
    assert found(minutes((0, "offline"), (0, "stalled")), (0, 2)) == [(0, 2, "offline")]


def test_the_reasons_of_one_gap_do_not_count_for_the_next():
    rows = minutes((0, "offline"), (0, "offline"), (0, "offline"), (MINUTE, "online"), (0, "stalled"), (0, "stalled"))
    assert found(rows, (0, 6)) == [(0, 3, "offline"), (4, 6, "stalled")]


def test_what_is_not_related_is_another_gap():
    rows = minutes((0, "offline"), (0, "online"), (0, "online"), None, None, (0, "stalled"))
    assert found(rows, (0, 6)) == [(0, 1, "offline"), (1, 3, "not analysed"), (3, 5, "not running"), (5, 6, "stalled")]


def test_a_watched_minute_or_closed_time_between_ends_a_gap():
    rows = minutes((0, "offline"), (MINUTE, "online"), (0, "offline"), (0, "offline"), (0, "offline"))
    assert found(rows, (0, 5)) == [(0, 1, "offline"), (2, 5, "offline")]
    assert found(rows, (2, 3), (4, 5)) == [(2, 3, "offline"), (4, 5, "offline")]
    assert found(rows, (2, 3), (3, 5)) == [(2, 5, "offline")]


def test_gaps_are_values():
    assert gaps("door", {}, [Span(0, MINUTE)]) == [Gap("door", Span(0, MINUTE), "not running")]


@pytest.mark.parametrize(
    ("pauses", "who"),
    [
        ([], ""),
        ([(10 * MINUTE, "Ada")], "Ada"),
        ([(11 * MINUTE - 1, "Ada")], "Ada"),  # within the first minute, of which less than half was watched
        ([(10 * MINUTE + 1, "Eve"), (11 * MINUTE - 1, "Ada")], "Ada"),
        ([(2 * MINUTE, "Eve"), (9 * MINUTE, "Ada")], "Ada"),  # the last before it
        ([(9 * MINUTE, "Ada"), (11 * MINUTE, "Grace"), (14 * MINUTE, "Eve")], "Ada, Grace, Eve"),
        ([(9 * MINUTE, "Ada"), (12 * MINUTE, "Grace"), (13 * MINUTE, "Ada")], "Ada, Grace"),  # each once
        ([(11 * MINUTE, "Grace")], "Grace"),
        ([(9 * MINUTE, "Ada"), (15 * MINUTE - 1, "Grace")], "Ada, Grace"),
        ([(9 * MINUTE, "Ada"), (15 * MINUTE, "Eve")], "Ada"),  # after its end
    ],
)
def test_a_pause_is_of_who_asked_last_before_it_and_of_all_who_asked_during_it(
    pauses: list[tuple[int, str]], who: str
) -> None:
    assert paused_by(Gap("door", Span(10 * MINUTE, 15 * MINUTE), "paused"), pauses) == who


def test_pauses_are_read_that_may_reach_into_the_span_and_nothing_else(tmp_path: Path) -> None:
    span, longest = Span(100 * HOUR, 110 * HOUR), 26 * HOUR
    asked = {"too early": -longest - 1, "longest": -longest, "within": HOUR, "last": 10 * HOUR - 1, "after": 10 * HOUR}
    kept = [
        EventRecord(f"e-{who}", "system", "", None, "paused", None, None, span.start + at, True, {"who": who})
        for who, at in asked.items()
    ]
    kept += [
        *(replace(kept[2], event_id=state, state=state) for state in ("disk low", "resumed")),
        replace(kept[2], event_id="alert", kind="camera"),
        replace(kept[2], event_id="nobody", started_at=span.start + 2 * HOUR, details={}),
    ]
    with new_store(tmp_path, kept) as store:
        found = read_pauses(StoreReader(store.path), span)
    assert found == [
        (span.start - longest, "longest"),
        (span.start + HOUR, "within"),
        (span.start + 2 * HOUR, ""),
        (span.end - 1, "last"),
    ]


def test_the_minutes_are_read_by_camera_and_within_the_spans(tmp_path: Path):
    rows = [*watched(0, 4 * MINUTE), *watched(MINUTE, 2 * MINUTE, camera="yard", state="stalled", watched_ms=9)]
    with new_store(tmp_path, rows) as store:
        cameras = read_coverage(StoreReader(store.path), [Span(0, 2 * MINUTE), Span(3 * MINUTE, 4 * MINUTE)])
    assert cameras == {
        "door": dict.fromkeys((0, MINUTE, 3 * MINUTE), Minute(MINUTE, "online")),
        "yard": {MINUTE: Minute(9, "stalled")},
    }
