"""What the search for a faster backend is doing, as people are told; free of what it does it with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preparing:
    """The model whose engine is being made now: what is being done, and which part of it all (0 … 1) is."""

    model: str
    step: str
    part: float
