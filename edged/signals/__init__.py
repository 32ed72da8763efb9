"""Smooths what single frames say about a face into values over time that can be acted on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.signals.attention import AttentionMonitor
from edged.signals.driver import DriverFinder
from edged.signals.drowsiness import DrowsinessMonitor
from edged.signals.mask import MaskVoter
from edged.types import Face, Signals


@dataclass(slots=True)
class Smoother:
    """One camera's smoothed signals. Every face has a mask vote, which also says where it is: where the profile does not
    ask for masks it stays uncertain. `attention` and `drowsiness` are None where the profile does not ask for them.
    """

    mask: MaskVoter = field(default_factory=MaskVoter)
    attention: AttentionMonitor | None = None
    drowsiness: DrowsinessMonitor | None = None
    driver: DriverFinder | None = None
    """Chooses the one person whose attention and drowsiness are followed; None where it is everybody's."""

    def update(self, time_s: float, faces: Sequence[Face]) -> Signals:
        """This frame's signals, each in the order of `faces`; tracks that are not there are forgotten."""
        followed = faces
        if self.driver is not None:
            before, driver = self.driver.track, self.driver.among(time_s, faces)
            followed = [driver] if driver is not None else []
            if (
                self.attention
                and driver is not None
                and any(face.track.id == before for face in faces if face is not driver)
            ):
                self.attention.forget()  # it was a passenger who taught where ahead is
        return Signals(
            masks=tuple(self.mask.update(time_s, faces)),
            attention=tuple(self.attention.update(time_s, followed)) if self.attention else (),
            drowsiness=tuple(self.drowsiness.update(time_s, followed)) if self.drowsiness else (),
        )


__all__ = ["Smoother"]
