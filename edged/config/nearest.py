"""What somebody meant who wrote a key or a value that is not there."""

import difflib
from collections.abc import Iterable

AS_NEAR = 0.5


def nearest(written: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like what was written, whatever its capitals; None where none is like it."""
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(written.casefold()[:100], names, n=1, cutoff=AS_NEAR)
    return names[near[0]] if near else None


def did_you_mean(written: object, known: Iterable[str]) -> str:
    """To be put behind what is said of a value; empty where there is nothing to propose."""
    near = nearest(written, known) if isinstance(written, str) else None
    return f'; did you mean "{near}"?' if near is not None else ""
