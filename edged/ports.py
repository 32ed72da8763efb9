"""The contracts between the pure stages and the outside world; each is small enough for a test to stand in for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from edged.arrays import Array
from edged.records import Message
from edged.types import Box, Detection, EyeReading, HeadPose, Image, Landmarks, Lens, MaskScores, Points

Arrays: TypeAlias = Mapping[str, Array]


class Engine(Protocol):
    """A loaded model: named arrays in, named arrays out."""

    @property
    def name(self) -> str:
        """The model's name in the manifest."""

    @property
    def backend(self) -> str:
        """What runs it, for people: "onnxruntime", "tensorrt"."""

    def run(self, inputs: Arrays) -> dict[str, Array]:
        """Run the model once. Raise ModelError when shapes or types do not fit, or the run fails."""


class Backend(Protocol):
    """Something that runs models."""

    @property
    def name(self) -> str:
        """As `Engine.backend` has it."""

    @property
    def remedy(self) -> str:
        """What to do when a model's output is not as expected."""

    def open(self, model: str) -> Engine:
        """Load the model. Raise NotBuiltError when it was never built here, ModelError when it cannot be used."""

    def close(self) -> None:
        """Release everything; the engines must not be used afterwards."""


class Detector(Protocol):
    """Finds faces in one picture."""

    def detect(self, image: Image) -> list[Detection]:
        """All faces, best score first, in pixels of `image`; an empty picture gives an empty list."""


class Known(NamedTuple):
    """Where people are who are followed already, for the second look at what is found."""

    people: Sequence[Box] = ()
    """A strong detection here gets no second look."""
    unclear: Sequence[Box] = ()
    """A weak detection here gets one: the picture before did not show the person clearly, and it may be a thing."""


NONE_KNOWN = Known()
"""Nobody is followed."""


@runtime_checkable
class NearbyDetector(Detector, Protocol):
    """A detector that also makes crop passes, which cost less."""

    def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
        """See `Detector`."""

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN) -> list[Detection] | None:
        """All faces in the crops around these boxes, in pixels of `image`, best first; each face once.

        What the border of a crop may cut off is left out. None when the whole picture costs no more.
        """


class MaskJudge(Protocol):
    """Classifies how masks are worn, for many faces of one picture at once."""

    def judge(self, image: Image, boxes: Sequence[Box]) -> list[MaskScores]:
        """One MaskScores for each box, in order; one batched run however many boxes."""


class LandmarkReader(Protocol):
    """Finds 68 landmarks, for many faces of one picture at once."""

    def read(
        self, image: Image, detections: Sequence[Detection], before: Sequence[Points | None] = ()
    ) -> list[Landmarks]:
        """One Landmarks for each detection, in order; batched runs however many.

        `before` is empty, or has for each face its 68 points in a picture shortly before, None where there are none. They
        only say where to look, so that a face that has hardly moved takes less time.
        """


class PoseReader(Protocol):
    """Estimates where heads point, for many faces of one picture at once."""

    def read(
        self,
        image: Image,
        detections: Sequence[Detection],
        landmarks: Sequence[Landmarks],
        masked: Sequence[bool],
        lens: Lens,
    ) -> list[HeadPose | None]:
        """One for each face, in order; None where it is unavailable. `masked`: nose, mouth or chin are covered."""


class EyeReader(Protocol):
    """Reads eyes, for many faces of one picture at once."""

    def read(self, image: Image, landmarks: Sequence[Landmarks], poses: Sequence[HeadPose | None]) -> list[EyeReading]:
        """One EyeReading for each face, in order; one batched run however many."""


class Clock(Protocol):
    """The only source of time; stages never hold one, adapters are given one."""

    def monotonic_s(self) -> float:
        """Seconds that never jump."""

    def utc_ms(self) -> int:
        """Milliseconds since the epoch, as far as this machine knows."""

    def trusted(self) -> bool:
        """Whether `utc_ms` has been synchronised since boot."""


class Outbox(Protocol):
    """Messages stored for the broker, as the publisher sees them."""

    def outbox_after(self, seq: int, limit: int) -> list[Message]:
        """The next messages above `seq`, oldest first. Raise StoreError when they cannot be read."""

    def outbox_depth(self) -> int:
        """How many messages wait."""
