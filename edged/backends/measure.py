"""How long engines take on given inputs, each held against the others."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edged.ports import Arrays, Engine

LEAST_ROUNDS, MOST_ROUNDS = 5, 50
ENOUGH_S = 6.0
"""No new round is begun after so long."""
WARM_UP_ROUNDS = 2
"""The first runs allocate, and wake sleeping clocks."""


class RunTimes(NamedTuple):
    """Milliseconds of one run: means over the inputs of each one's fastest run, and of its median run.

    The fastest is what the engine can do: whatever else keeps the machine busy only ever adds.
    """

    fastest_ms: float
    median_ms: float


def run_times(engines: Sequence[Engine], inputs: Sequence[Arrays]) -> list[RunTimes]:
    """Of each engine. They take turns with every input, so that a machine busy now and then is busy for all of them.

    Raise ModelError when a run fails.
    """
    for _ in range(WARM_UP_ROUNDS):
        _round_ms(engines, inputs)
    rounds: list[list[list[float]]] = []
    start = time.monotonic()
    while len(rounds) < LEAST_ROUNDS or (len(rounds) < MOST_ROUNDS and time.monotonic() - start < ENOUGH_S):
        rounds.append(_round_ms(engines, inputs))
    times = np.array(rounds)  # round, input, engine
    fastest, median = times.min(axis=0).mean(axis=0), np.median(times, axis=0).mean(axis=0)
    return [RunTimes(float(best), float(middle)) for best, middle in zip(fastest, median, strict=True)]


def _round_ms(engines: Sequence[Engine], inputs: Sequence[Arrays]) -> list[list[float]]:
    """Of every input, the run of each engine."""
    return [[_run_ms(engine, given) for engine in engines] for given in inputs]


def _run_ms(engine: Engine, given: Arrays) -> float:
    start = time.perf_counter()
    engine.run(given)
    return (time.perf_counter() - start) * 1000
