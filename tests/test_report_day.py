"""Local days, their hours and their open hours, across changes of the clock."""

from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.errors import UsageError
from edged.host.clock import HOUR_MS, MINUTE_MS
from edged.report.day import (
    Span,
    day_of,
    day_span,
    finished_days,
    hours_of,
    is_finished,
    open_spans,
    parse_day,
    wall_clock,
)

MADRID = ZoneInfo("Europe/Madrid")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
ZONES = (
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",  # changes at midnight
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Havana",
    "Australia/Lord_Howe",  # changes by half an hour
    "Asia/Kathmandu",  # a quarter of an hour off
    "Pacific/Apia",  # skipped 2011-12-30
    "America/St_Johns",  # changed at one minute past midnight
    "Africa/Casablanca",
    "UTC",
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2000, 1, 2), date(2037, 12, 30))


def ms(*args):
    return int(datetime(*args, tzinfo=timezone.utc).timestamp() * 1000)


def test_a_spring_day_has_23_hours_and_no_second_one():
    hours = hours_of(SPRING, MADRID)
    assert day_span(SPRING, MADRID) == Span(ms(2026, 3, 28, 23), ms(2026, 3, 29, 22))
    assert [hour.label for hour in hours[:4]] == ["00:00", "01:00", "03:00", "04:00"]
    assert len(hours) == 23


def test_an_autumn_day_has_25_hours_and_tells_the_two_seconds_apart():
    hours = hours_of(AUTUMN, MADRID)
    assert day_span(AUTUMN, MADRID) == Span(ms(2026, 10, 24, 22), ms(2026, 10, 25, 23))
    assert [hour.label for hour in hours[1:5]] == ["01:00", "02:00 CEST", "02:00 CET", "03:00"]
    assert len(hours) == 25


def test_half_hour_changes_cut_hours_at_the_wall_clock():
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    hours = hours_of(date(2026, 10, 4), lord_howe)
    assert [hour.label for hour in hours[1:4]] == ["01:00", "02:30", "03:00"]
    assert sum(hour.span.length for hour in hours) == 23.5 * HOUR_MS


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("year", [2011, 2024, 2026, 2027])
def test_a_year_of_days_tiles_time(name, year):
    zone = ZoneInfo(name)
    spans = [day_span(date(year, 1, 1) + timedelta(days=n), zone) for n in range(366)]
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all(0 <= span.length <= 25 * HOUR_MS for span in spans)


@given(days, zones)
@example(date(2011, 12, 30), ZoneInfo("Pacific/Apia"))
def test_hours_tile_their_day(day, zone):
    whole, hours = day_span(day, zone), hours_of(day, zone)
    edges = [hour.span.start for hour in hours] + [whole.end]
    assert edges[0] == whole.start or not whole.length
    assert [hour.span.end for hour in hours] == edges[1:]
    assert all(0 < hour.span.length <= HOUR_MS for hour in hours)
    assert len({hour.label for hour in hours}) == len(hours)


@given(st.integers(ms(2000, 1, 2), ms(2037, 12, 30)), zones)
def test_every_instant_is_in_the_day_it_is_said_to_be_in(instant, zone):
    span = day_span(day_of(instant, zone), zone)
    assert span.start <= instant < span.end


@given(days, zones)
def test_open_all_day_is_the_whole_day(day, zone):
    whole = day_span(day, zone)
    assert open_spans(day, zone, "00:00", "24:00") == ([whole] if whole.length else [])


def test_open_all_day_has_no_hole_where_clocks_go_back_to_the_day_before():
    """At 00:01 they went back to 23:01."""
    day, zone = date(2008, 11, 2), ZoneInfo("America/St_Johns")
    assert open_spans(day, zone, "00:00", "24:00") == [day_span(day, zone)]
    assert len(open_spans(day, zone, "00:00", "23:59")) == 2


@given(days, zones, st.integers(0, 1438), st.integers(1, 1440))
def test_a_minute_is_open_exactly_when_its_wall_clock_is(day, zone, start, length):
    end = min(1440, start + length)
    texts = [f"{m // 60:02d}:{m % 60:02d}" for m in (start, end)]
    spans = open_spans(day, zone, *texts)
    whole = day_span(day, zone)
    for at in range(whole.start, whole.end, 7 * MINUTE_MS):
        local = datetime.fromtimestamp(at / 1000, zone)
        expected = (local.date() == day and start <= local.hour * 60 + local.minute < end) or (start, end) == (0, 1440)
        assert any(s.start <= at < s.end for s in spans) == expected


def test_open_hours_skip_what_spring_skips_and_double_what_autumn_doubles():
    assert sum(s.length for s in open_spans(SPRING, MADRID, "01:00", "04:00")) == 2 * HOUR_MS
    assert sum(s.length for s in open_spans(AUTUMN, MADRID, "01:00", "04:00")) == 4 * HOUR_MS
    assert open_spans(SPRING, MADRID, "02:00", "03:00") == []
    assert [s.length for s in open_spans(AUTUMN, MADRID, "02:15", "02:45")] == [30 * MINUTE_MS, 30 * MINUTE_MS]


def test_a_day_is_finished_at_its_last_instant_and_not_before():
    end = day_span(AUTUMN, MADRID).end
    assert not is_finished(AUTUMN, MADRID, end - 1)
    assert is_finished(AUTUMN, MADRID, end)


def test_finished_days_are_those_from_the_first_record_to_yesterday():
    first, now = ms(2026, 10, 23, 21, 59), ms(2026, 10, 25, 23, 0)
    assert list(finished_days(first, now, MADRID)) == [date(2026, 10, 23), date(2026, 10, 24), AUTUMN]
    assert list(finished_days(first, now - 1, MADRID)) == [date(2026, 10, 23), date(2026, 10, 24)]
    assert list(finished_days(now, now, MADRID)) == []


def test_the_wall_clock_names_the_zone_only_where_it_comes_twice():
    assert wall_clock(ms(2026, 10, 25, 0, 30, 5), MADRID, seconds=True) == "02:30:05 CEST"
    assert wall_clock(ms(2026, 10, 25, 1, 30), MADRID) == "02:30 CET"
    assert wall_clock(ms(2026, 10, 25, 2, 30), MADRID) == "03:30"


NOW = ms(2026, 11, 19, 23, 30)  # already the 20th in Madrid


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-19", date(2026, 11, 19)),
        ("yesterday", date(2026, 11, 19)),
        ("today", date(2026, 11, 20)),
        (" Today ", date(2026, 11, 20)),
        ("2000-01-01", date(2000, 1, 1)),
    ],
)
def test_a_day_is_read_in_the_zone_of_the_site(text, day):
    assert parse_day(text, MADRID, NOW) == day


@pytest.mark.parametrize(
    "text", ["", "19.11.2026", "2026-13-01", "2026-W47-4", "20261119", "1999-12-31", "0001-01-01", "٢٠٢٦-١١-١٩"]
)
def test_what_is_not_a_day_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="write it like 2026-11-20, or yesterday, or today"):
        parse_day(text, MADRID, NOW)


def test_a_day_that_has_not_begun_is_refused():
    with pytest.raises(UsageError, match="has not begun; today is 2026-11-20 in Europe/Madrid"):
        parse_day("2026-11-21", MADRID, NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_day_or_a_usage_error(text):
    try:
        parse_day(text, MADRID, NOW)
    except UsageError:
        return
