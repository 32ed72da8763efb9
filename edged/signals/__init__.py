"""Smooths what single frames say about a face into values over time that can be acted on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.signals.attention import AttentionMonitor
from edged.signals.drowsiness import DrowsinessMonitor
from edged.signals.mask import MaskVoter
from edged.types import Face, Signals


@dataclass(slots=True)
class Smoother:
    """One camera's smoothed signals. Every face has a mask vote, which also says where it is: where masks are not
    wanted it stays uncertain. `attention` and `drowsiness` are None where the profile does not want them.
    """

    mask: MaskVoter = field(default_factory=MaskVoter)
    attention: AttentionMonitor | None = None
    drowsiness: DrowsinessMonitor | None = None

    def update(self, time_s: float, faces: Sequence[Face]) -> Signals:
        """This frame's signals, each in the order of `faces`; tracks that are not there are forgotten."""
        return Signals(
            masks=tuple(self.mask.update(time_s, faces)),
            attention=tuple(self.attention.update(time_s, faces)) if self.attention else (),
            drowsiness=tuple(self.drowsiness.update(time_s, faces)) if self.drowsiness else (),
        )


__all__ = ["Smoother"]
