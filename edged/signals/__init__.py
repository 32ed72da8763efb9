"""Smooths what single frames say about a face into values over time that can be acted on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.signals.mask import MaskVoter
from edged.types import Face, Signals


@dataclass(slots=True)
class Smoother:
    """One camera's smoothed signals; what its profile does not want is None."""

    mask: MaskVoter = field(default_factory=MaskVoter)

    def update(self, time_s: float, faces: Sequence[Face]) -> Signals:
        """This frame's signals, each in the order of `faces`; tracks that are not there are forgotten."""
        return Signals(masks=tuple(self.mask.update(time_s, faces)))


__all__ = ["Smoother"]
