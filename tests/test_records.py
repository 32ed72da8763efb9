"""A day leaves the rows and messages it always left: events, passages, coverage, reports, and what subscribers hear."""

from pathlib import Path

from support.scripted_day import play

FIXTURE = Path(__file__).parent / "fixtures" / "scripted_day.txt"
SEED, MINUTES = 4, 5


def test_a_scripted_day_leaves_the_rows_and_messages_it_always_left(tmp_path: Path) -> None:
    """The fixture was written by the code of before there was one record of an event; what changes on purpose changes it."""
    assert play(tmp_path, SEED, MINUTES) == FIXTURE.read_text().splitlines()
