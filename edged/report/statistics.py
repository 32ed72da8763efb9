"""The arithmetic of proportions: what a day's counts can and cannot tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import NamedTuple

Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

LEAST_BLOCKS = 10
ASSUMED_DESIGN_EFFECT = 1.5
"""Taken where the data cannot tell how much people who arrive together resemble each other."""


class Range(NamedTuple):
    """From a lower to an upper proportion."""

    lower: float
    upper: float


class DesignEffect(NamedTuple):
    """How many times larger the variance is than that of as many independent passages; `blocks` were not empty."""

    value: float
    assumed: bool
    blocks: int


class Difference(NamedTuple):
    value: float
    lower: float
    upper: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes no change at all."""
        return self.lower > 0 or self.upper < 0


def wilson(proportion: float, trials: float) -> Range:
    """The 95 % score interval of Wilson (1927). `trials` may be an effective number, thus not whole; above 0."""
    square = Z_95 * Z_95
    denominator = 1 + square / trials
    centre = (proportion + square / (2 * trials)) / denominator
    half = Z_95 * sqrt(proportion * (1 - proportion) / trials + square / (4 * trials * trials)) / denominator
    # At 0 and 1 the bound is exact; rounding must not push it past the proportion or out of [0, 1].
    return Range(max(0.0, min(proportion, centre - half)), min(1.0, max(proportion, centre + half)))


def design_effect(blocks: Iterable[tuple[int, int]]) -> DesignEffect:
    """Estimate from (successes, trials) of each block of time, after Korn and Graubard (1998).

    v = B/(B-1) · Σ(y - p·n)² / (Σn)², the ratio estimator's variance between B blocks, over p(1-p)/Σn; at least 1.
    Fewer than 10 blocks that are not empty, or outcomes all alike, cannot tell: then 1.5 is assumed.
    """
    return design_effect_of_sums(BlockSums.of(blocks))


@dataclass(frozen=True, slots=True)
class BlockSums:
    """Of the blocks that are not empty: how many, and the sums of successes y, trials n, y², yn and n². Sums of sums are sums."""

    blocks: int = 0
    y: int = 0
    n: int = 0
    yy: int = 0
    yn: int = 0
    nn: int = 0

    @classmethod
    def of(cls, blocks: Iterable[tuple[int, int]]) -> "BlockSums":
        filled = [(y, n) for y, n in blocks if n]
        sums = ((y, n, y * y, y * n, n * n) for y, n in filled)
        return cls(len(filled), *map(sum, zip(*sums, strict=True))) if filled else cls()


def design_effect_of_sums(sums: BlockSums) -> DesignEffect:
    """As `design_effect`, from what a database can add up: Σ(y - pn)² = Σy² - 2pΣyn + p²Σn², exact since p is a fraction."""
    if sums.blocks < LEAST_BLOCKS or sums.y in (0, sums.n):
        return DesignEffect(ASSUMED_DESIGN_EFFECT, assumed=True, blocks=sums.blocks)
    residuals = Fraction(sums.yy * sums.n**2 - 2 * sums.y * sums.n * sums.yn + sums.y**2 * sums.nn, sums.n**2)
    between = Fraction(sums.blocks, sums.blocks - 1) * residuals / sums.n**2
    independent = Fraction(sums.y * (sums.n - sums.y), sums.n**3)
    return DesignEffect(max(1.0, float(between / independent)), assumed=False, blocks=sums.blocks)


def newcombe(p1: float, interval1: Range, p2: float, interval2: Range) -> Difference:
    """p1 - p2 with its 95 % interval: Newcombe (1998), method 10, from each proportion's Wilson interval."""
    difference = p1 - p2
    below = sqrt((p1 - interval1.lower) ** 2 + (interval2.upper - p2) ** 2)
    above = sqrt((interval1.upper - p1) ** 2 + (p2 - interval2.lower) ** 2)
    return Difference(difference, difference - below, difference + above)


def bounds(correct: int, judged: int, uncertain: int) -> Range:
    """The proportion if every uncertain passage had been a violation, and if none had (Manski 1989). Assumes nothing."""
    everybody = judged + uncertain
    return Range(correct / everybody, (correct + uncertain) / everybody)
