"""Finds faces in one picture; each detector is a class behind `edged.ports.Detector`, made by name here."""

from collections.abc import Callable

from edged.detect.mtcnn import Mtcnn, MtcnnSettings
from edged.errors import ConfigError
from edged.ports import Detector, Engine

MODELS = {"mtcnn": ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")}
"""The manifest's names of the models behind each detector."""

# The tracker makes use of weak sightings of a face it knows (ByteTrack's second pass) and starts no track from them, so
# O-Net lets through more than the package's 0.8: masked faces score low.
MTCNN_THRESHOLDS = (0.6, 0.7, 0.3)


def make_detector(name: str, open_model: Callable[[str], Engine], *, smallest_face: float) -> Detector:
    """The detector called `name`, its models opened by `open_model` under the names that `MODELS` lists.

    `smallest_face` is the side in px of the smallest face worth finding. Raise ConfigError for a name or size that makes
    no sense, and whatever `open_model` raises.
    """
    if name not in MODELS:
        raise ConfigError(f"detector {name!r} is not known; known are: {', '.join(MODELS)}")
    pnet, rnet, onet = (open_model(model) for model in MODELS[name])
    return Mtcnn(pnet, rnet, onet, MtcnnSettings(smallest_face=smallest_face, thresholds=MTCNN_THRESHOLDS))


__all__ = ["MODELS", "Mtcnn", "MtcnnSettings", "make_detector"]
