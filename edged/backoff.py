"""How long to wait between attempts that fail: twice as long each time, up to a limit. Whatever is tried again uses it."""

import random

MOST_DOUBLINGS = 16
LEAST_SHARE = 0.8


def backoff_s(failures: int, first_s: float, longest_s: float) -> float:
    """The wait in seconds after so many failures in a row: `first_s` after the first, `longest_s` at most.

    Up to a fifth less by chance, so that a site's devices and cameras do not all try at the same moment.
    """
    doublings = min(max(failures - 1, 0), MOST_DOUBLINGS)
    return float(min(first_s * 2.0**doublings, longest_s)) * random.uniform(LEAST_SHARE, 1.0)  # noqa: S311
