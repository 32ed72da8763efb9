"""Finds faces in one picture; each detector is a class behind `edged.ports.Detector`, made by name here."""

from edged.detect.mtcnn import Mtcnn, MtcnnSettings
from edged.errors import ConfigError
from edged.inference import Manifest, open_engine
from edged.ports import Detector

DETECTORS = ("mtcnn",)


def make_detector(name: str, manifest: Manifest, *, smallest_face: float, threads: int) -> Detector:
    """The detector called `name`, with its models opened from `manifest`.

    `smallest_face` is the side in px of the smallest face worth finding; `threads` 0 means one per core.
    Raise ConfigError for a name or size that makes no sense, ModelError when a model cannot be used.
    """
    if name != "mtcnn":
        raise ConfigError(f"detector {name!r} is not known; known are: {', '.join(DETECTORS)}")
    settings = MtcnnSettings(smallest_face=smallest_face)
    pnet, rnet, onet = (open_engine(manifest, f"mtcnn-{net}", threads) for net in ("pnet", "rnet", "onet"))
    return Mtcnn(pnet, rnet, onet, settings)


__all__ = ["DETECTORS", "Mtcnn", "MtcnnSettings", "make_detector"]
