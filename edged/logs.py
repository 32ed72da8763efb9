"""Writes the log to stderr: a line that comes again and again is written now and then, with how often it was left out."""

import logging
import os
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

WINDOW_S = 600.0
MOST_OF_A_LINE = 3
"""How often one line is written within a window."""
MOST_OF_A_KIND = 60
"""How many lines of one kind: the same sentence of other cameras, files or reasons."""
MOST_REMEMBERED = 512
_VARYING = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(?= ?(s|ms|minutes|messages|changes|rows|MB|GB|%)\b)")
"""What makes the same line differ from another: addresses of libraries, amounts."""


@dataclass(slots=True)
class _Seen:
    """A line or a kind of lines within its window."""

    since_s: float
    last_s: float
    written: int = 0
    left_out: int = 0


class Repeats:
    """Decides which lines are written, and counts the others. Pure: time comes in with the line."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Seen] = OrderedDict()
        self._kinds: OrderedDict[str, _Seen] = OrderedDict()

    def take(self, line: str, kind: str, now_s: float) -> int | None:
        """None when `line` is to be left out; else how many like it were left out since the last one that was written."""
        seen = _within(self._lines, _VARYING.sub("…", line), now_s)
        alike = _within(self._kinds, kind, now_s)
        if seen.written >= MOST_OF_A_LINE or alike.written >= MOST_OF_A_KIND:
            seen.left_out += 1
            return None
        left_out, seen.left_out = seen.left_out, 0
        seen.written += 1
        alike.written += 1
        return left_out

    def overdue(self, now_s: float) -> list[tuple[str, int]]:
        """Lines that have not come for a whole window, with how many were left out: each is reported once."""
        over = [(line, seen) for line, seen in self._lines.items() if now_s - seen.last_s >= WINDOW_S]
        for line, _ in over:
            del self._lines[line]
        return [(line, seen.left_out) for line, seen in over if seen.left_out]


def _within(remembered: OrderedDict[str, _Seen], key: str, now_s: float) -> _Seen:
    """What is known of `key` in the present window; what was left out before it is still to be reported."""
    seen = remembered.pop(key, None) or _Seen(now_s, now_s)
    if now_s - seen.since_s >= WINDOW_S:
        # One that goes on is written once in each further window.
        seen = _Seen(now_s, now_s, MOST_OF_A_LINE - 1 if seen.left_out else 0, seen.left_out)
    seen.last_s = now_s
    remembered[key] = seen
    if len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
    return seen


if TYPE_CHECKING:
    ToText = logging.StreamHandler[TextIO]
else:
    ToText = logging.StreamHandler  # Python 3.10 takes no type here


class LimitedHandler(ToText):
    """Writes to a stream what `Repeats` lets through. The one place that limits repeated lines."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock = clock
        self._repeats = Repeats()
        self._next_check_s = clock() + WINDOW_S

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held."""
        now_s = self._clock()
        if now_s >= self._next_check_s:
            self._next_check_s = now_s + WINDOW_S / 10
            for line, count in self._repeats.overdue(now_s):
                super().emit(_plain(f"{count} more like this were left out: {line}"))
        said = record.getMessage()
        left_out = self._repeats.take(f"{record.name}: {said}", f"{record.name}: {record.msg}", now_s)
        if left_out is None:
            return
        if left_out:
            record = logging.makeLogRecord(
                {**record.__dict__, "msg": f"{said} ({left_out} more like this were left out)"}
            )
            record.args = ()
        super().emit(record)


def _plain(text: str) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.INFO, __file__, 0, text, (), None)


def configure_logging(verbose: bool = False) -> None:
    """Lines on stderr; under systemd the journal adds the time itself. `verbose` writes every line."""
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr) if verbose else LimitedHandler(sys.stderr)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format=f"{stamp}%(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )
