"""Which backend runs each model: engines are built in child processes, compared with the CPU, and taken up between frames."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """The model whose engine is being built now: what is being done, and which part of it all (0 … 1) is."""

    model: str
    step: str
    part: float
