"""How long an engine takes on given inputs."""

import time
from collections.abc import Sequence

from edged.ports import Arrays, Engine

LEAST_ROUNDS, MOST_ROUNDS = 5, 50
ENOUGH_S = 3.0
"""No new round is begun after so long."""
WARM_UP_ROUNDS = 2
"""The first runs allocate, and wake sleeping clocks."""


def run_times_ms(engine: Engine, inputs: Sequence[Arrays]) -> list[float]:
    """Milliseconds of one run, the shortest first: each is the mean over one round of all `inputs`.

    Raise ModelError when a run fails.
    """
    for _ in range(WARM_UP_ROUNDS):
        _round_ms(engine, inputs)
    times: list[float] = []
    start = time.monotonic()
    while len(times) < LEAST_ROUNDS or (len(times) < MOST_ROUNDS and time.monotonic() - start < ENOUGH_S):
        times.append(_round_ms(engine, inputs))
    return sorted(times)


def _round_ms(engine: Engine, inputs: Sequence[Arrays]) -> float:
    start = time.perf_counter()
    for given in inputs:
        engine.run(given)
    return (time.perf_counter() - start) * 1000 / len(inputs)
