"""Compares engines of one model on given inputs: their outputs, which must agree with the CPU's, and how long they take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edged.errors import ModelError
from edged.inference.manifest import AgreementEntry, ModelEntry
from edged.ports import Arrays, Engine

Floats = NDArray[np.float64]

PROBABILITY = 0.005
"""Probabilities, also those given as logits, may differ by this much."""
PIXELS = 0.3
"""Points and lengths may differ by this much, in pixels of what the model sees, …"""
PIXELS_OF_LENGTH = 0.005
"""… or by this part of themselves: half precision knows a large box to a five-hundredth at best."""
DEGREES = 0.3
"""Angles may differ by this much: a tenth of what the best reader of heads errs by."""
PART_OF_RANGE = 0.01
"""Outputs whose meaning the manifest does not say may differ by this part of their largest value."""
SURE = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two engines compare in one part of one output, over all inputs."""

    output: str
    unit: str
    difference: float
    """The largest, as a multiple of what is allowed."""
    compared: int
    """How many numbers."""

    @property
    def holds(self) -> bool:
        """Whether all differences are allowed; infinite where an output was not finite."""
        return self.difference <= 1.0


def compare_engines(
    entry: ModelEntry, reference: Engine, candidate: Engine, inputs: Sequence[Arrays]
) -> list[Agreement]:
    """One Agreement for each part of each output that the manifest lists. Raise ModelError when a run fails."""
    results = [(reference.run(given), candidate.run(given)) for given in inputs]
    found = []
    for output in entry.outputs:
        for part in entry.agreement.get(output, (None,)):
            ratios = [_ratios(expected[output], given[output], part) for expected, given in results]
            worst = max((float(values.max()) for values in ratios if values.size), default=0.0)
            unit = part.unit if part else "part of its range"
            found.append(Agreement(output, unit, worst, sum(values.size for values in ratios)))
    return found


def require_agreement(
    entry: ModelEntry, reference: Engine, candidate: Engine, inputs: Sequence[Arrays]
) -> list[Agreement]:
    """The agreements, if all hold. Raise ModelError naming the worst otherwise."""
    found = compare_engines(entry, reference, candidate, inputs)
    worst = max(found, key=lambda agreement: agreement.difference, default=None)
    if worst is not None and not worst.holds:
        raise ModelError(
            f"model {entry.name}: {candidate.backend} differs from {reference.backend} in {worst.output} ({worst.unit}) by "
            f"{worst.difference:.1f} times what is allowed; it is not used"
        )
    return found


def _ratios(expected: NDArray[Any], given: NDArray[Any], part: AgreementEntry | None) -> Floats:
    """Differences as multiples of what is allowed, where they count."""
    if expected.shape != given.shape:
        return np.array([np.inf])
    one, other = expected.astype(np.float64), given.astype(np.float64)
    counts = np.ones(one.shape, bool)
    if part is not None and part.sure is not None:
        counts &= np.expand_dims(one[:, part.sure] >= SURE, 1)
    if part is not None and part.channels is not None:
        chosen = slice(*part.channels)
        one, other, counts = one[:, chosen], other[:, chosen], counts[:, chosen]
    if part is not None and part.unit == "logit":
        one, other = _probability(one), _probability(other)
    difference = np.abs(one - other) / _allowed(one, part)
    return np.where(np.isfinite(difference), difference, np.inf)[counts]


def _allowed(expected: Floats, part: AgreementEntry | None) -> Floats | float:
    if part is None:
        return max(PART_OF_RANGE * float(np.abs(expected).max(initial=0.0)), 1e-6)
    if part.unit == "degrees":
        return DEGREES / part.scale
    if part.unit != "pixels":
        return PROBABILITY
    return np.maximum(PIXELS / part.scale, PIXELS_OF_LENGTH * np.abs(expected))


def _probability(logit: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logit)), np.float64)


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
