"""What the verbs print to: unknown characters are replaced, a full disk is one line, and a reader that left is no matter."""

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from edged.errors import Failed

DEGRADE = "edged.degrade"
PLAINER = {"✓": "+", "✗": "x", "…": "...", "–": "-", "—": "-", "·": "-", "×": "x", "°": " degrees", "→": "->"}
FIRST_ESCAPED = 0xDC00
"""What is no UTF-8 in a file's name is held by Python as characters from here on, one a byte."""


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """An error handler for `codecs`: ASCII that comes close to what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plainer, error.object[error.start : error.end])), error.end


def _plainer(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - FIRST_ESCAPED:02x}"
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return PLAINER.get(character) or letters or "?"


codecs.register_error(DEGRADE, _degraded)


def visible(line: str) -> str:
    """The line with what nobody sees written out, such as what turns the direction of all that follows in a file's name."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Cs" else repr(c)[1:-1] for c in line)


class _Outlet(io.FileIO):
    """Standard output, whose failures end the verb: quietly where the reader left, else with one line."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> NoReturn:
        # What is left in buffers goes nowhere, or Python would complain once more while it closes them.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if isinstance(error, BrokenPipeError):
            sys.exit(0)
        raise Failed(f"standard output cannot be written ({error.strerror}); see where it goes") from None


class _Text(io.TextIOWrapper):
    """Text in the encoding that the environment names; ASCII is written by hand, since click would write UTF-8 there."""

    def __init__(self, outlet: _Outlet, encoding: str, *, line_buffering: bool) -> None:
        self._is_ascii = codecs.lookup(encoding).name == "ascii"
        encoding = "utf-8" if self._is_ascii else encoding
        buffer = io.BufferedWriter(outlet)
        super().__init__(buffer, encoding=encoding, errors=DEGRADE, line_buffering=line_buffering)

    def write(self, text: str, /) -> int:
        return super().write(text.encode("ascii", DEGRADE).decode() if self._is_ascii else text)


@contextmanager
def printing() -> Iterator[None]:
    """Have `sys.stdout` behave as this module says. Raise Failed when what was printed could not be written."""
    usual = sys.stdout
    if not isinstance(usual, io.TextIOWrapper) or usual is not sys.__stdout__:  # closed, or a test's
        yield
        return
    usual.flush()
    outlet = _Outlet(usual.fileno(), "wb", closefd=False)
    sys.stdout = _Text(outlet, usual.encoding, line_buffering=usual.line_buffering)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            sys.stdout = usual
