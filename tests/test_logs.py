"""A line that comes again and again is written now and then, and what was left out is counted."""

import io
import logging
import re

import pytest

from edged import logs
from edged.capture.state import StateKeeper
from edged.logs import MOST_OF_A_KIND, MOST_OF_A_LINE, MOST_REMEMBERED, WINDOW_S, LimitedHandler, Repeats

HOUR_S = 3600


class Log:
    """What the log's stream gets, at instants of the test's own."""

    def __init__(self, name="edged"):
        self.now_s, self.stream = 0.0, io.StringIO()
        self.handler = LimitedHandler(self.stream, lambda: self.now_s)
        self.logger = logging.getLogger(name)

    def __enter__(self):
        self.logger.addHandler(self.handler)
        self.logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_):
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(logging.NOTSET)

    @property
    def lines(self):
        return self.stream.getvalue().splitlines()

    def counted(self):
        """How many lines were written, and how many the written ones say were left out."""
        left_out = (re.search(r"(\d+) more like this were left out", line) for line in self.lines)
        return len(self.lines), sum(int(found[1]) for found in left_out if found)


def test_an_hour_of_one_line_is_a_few_lines_that_count_the_others():
    with Log() as log:
        for log.now_s in range(0, HOUR_S, 20):
            log.logger.warning("the daily report waits: %s", "the disk is full")
        log.now_s += 2 * WINDOW_S
        log.logger.info("something else")
    written, left_out = log.counted()
    assert written <= MOST_OF_A_LINE + HOUR_S / WINDOW_S + 2
    assert written + left_out == HOUR_S / 20 + 1 + 1, "every line is written or counted; the last is the sum's own"


def test_a_camera_that_flaps_for_an_hour_is_told_and_leaves_room_for_others():
    with Log() as log:
        keeper = StateKeeper("door", "rtsp://h/x", 5.0)
        for log.now_s in range(0, HOUR_S, 5):
            keeper.became("online", None)
            keeper.became("reconnecting", f"[rtsp @ 0x55d0{log.now_s:x}] gives no more pictures after {log.now_s} s")
        log.logger.warning("the broker is gone")
    assert log.counted()[0] < 30
    assert "the broker is gone" in log.lines[-1]


def test_lines_that_differ_are_all_written():
    with Log() as log:
        for number in range(20):
            log.logger.info("camera %s is online", f"door-{number}")
    assert len(log.lines) == 20


def test_a_flood_of_one_kind_is_bounded_and_leaves_other_kinds_alone():
    with Log() as log:
        for number in range(10 * MOST_OF_A_KIND):
            log.logger.info("%s cannot be read", f"/srv/{number}.jpg")
        log.logger.info("something else")
    assert len(log.lines) == MOST_OF_A_KIND + 1


def test_what_stops_coming_is_summed_up_by_the_next_line_of_any_kind():
    with Log() as log:
        for _ in range(10):
            log.logger.error("trouble")
        log.now_s = WINDOW_S
        log.logger.info("something else")
    assert log.lines[-2:] == ["7 more like this were left out: edged: trouble", "something else"]


def test_what_is_remembered_is_bounded():
    repeats = Repeats()
    for number in range(4 * MOST_REMEMBERED):
        repeats.take(f"line {number}", f"kind {number}", 0.0)
    assert len(repeats._lines) == len(repeats._kinds) == MOST_REMEMBERED


def test_a_traceback_keeps_its_lines():
    with Log() as log:
        for _ in range(5):
            try:
                raise RuntimeError("why")
            except RuntimeError:
                log.logger.exception("worker %s failed", "x")
    assert "".join(log.lines).count("RuntimeError: why") == MOST_OF_A_LINE


@pytest.mark.parametrize("verbose", [False, True])
def test_verbose_writes_every_line(monkeypatch, verbose):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    logs.configure_logging(verbose)
    (handler,) = root.handlers
    assert isinstance(handler, LimitedHandler) is not verbose
