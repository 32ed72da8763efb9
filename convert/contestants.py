"""The detectors that take part in comparisons: edged's, and others' whose files lie beside the data; none needs PyTorch."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.peers import UltraLight, YuNet
from edged.errors import UsageError
from edged.inference import Manifest, OnnxEngine, default_engines_dir, load_manifest, open_engine
from edged.ports import Detector
from edged.readers import CLEAR_FACE, DETECTORS, MOST_ENLARGED, DetectionLimits, make_detector

LOWEST_SCORE = 0.02
"""Accuracy counts finds down to this, as usual for AP (MTCNN gives none below 0.3)."""
SERVED_SCORE = 0.25
"""Time is taken at this: what edged asks of a detector in service."""
YUNET = {"YuNet-n": "yunet_n_dynamic.onnx", "YuNet-s": "yunet_s_dynamic.onnx"}
ENLARGEMENTS = (1.0, 1.5, 2.0)
"""Of YuNet: the picture's own size, and larger."""
ULTRA_LIGHT = {"Ultra-Light RFB 640": "ulfg_rfb_640.onnx"}


@dataclass(frozen=True)
class Choice:
    """Who takes part (names that begin like one of `only`; all, when it is empty), and how."""

    only: tuple[str, ...] = ()
    smallest_face: float = 15.0
    threads: int = 1

    def takes(self, name: str) -> bool:
        """Whether the detector called `name` takes part."""
        return not self.only or name.lower().startswith(tuple(start.lower() for start in self.only))


@dataclass(frozen=True)
class Contestant:
    """One row of the table: what is scored, what is timed, and the size of its files."""

    name: str
    scored: Detector
    served: Detector
    file_bytes: int


def contestants(data: Path, choice: Choice, manifest: Manifest | None = None) -> list[Contestant]:
    """Every chosen detector whose files are there, edged's first.

    Raise UsageError when there is none, and ModelError when one of edged's models is not the file that was checked.
    """
    found = list(_own(manifest or load_manifest(default_engines_dir()), choice))
    found += (peer for peer in _peers(data / "peers", choice.threads) if choice.takes(peer.name))
    if not found:
        raise UsageError(f"no detector's name begins with {' or '.join(choice.only)}, or its model is not there")
    return found


def _own(manifest: Manifest, choice: Choice) -> Iterator[Contestant]:
    """The detectors that edged knows by name and whose models are built."""
    open_model = functools.cache(lambda model: open_engine(manifest, model, choice.threads))
    for name, detector in DETECTORS.items():
        models = detector.models
        files = [manifest.directory / manifest.entry(model).file for model in models if model in manifest.entries]
        if not choice.takes(name) or len(files) < len(models) or not all(file.is_file() for file in files):
            continue
        low, served = (
            make_detector(name, open_model, DetectionLimits(choice.smallest_face, least))
            for least in (LOWEST_SCORE, SERVED_SCORE)
        )
        yield Contestant(name, low, served, sum(file.stat().st_size for file in files))


def own_at(enlargements: Sequence[float], threads: int = 1, manifest: Manifest | None = None) -> list[Contestant]:
    """Our detector at several working sizes, each so many times the picture's own: the points of a curve.

    Raise ModelError when the model is not the file that was checked.
    """
    own = _Own(manifest or load_manifest(default_engines_dir()), threads)
    return [own.contestant(f"edged, {enlarge:.3g}x", enlarge, still=False) for enlarge in enlargements]


def own_for_pictures(manifest: Manifest, threads: int = 1) -> Contestant:
    """Our detector as `edged analyze` has it for still pictures. Raise ModelError as `own_at` does."""
    return _Own(manifest, threads).contestant("edged, pictures", MOST_ENLARGED, still=True)


class _Own:
    """Makes contestants of our own detector."""

    def __init__(self, manifest: Manifest, threads: int) -> None:
        self._open = functools.cache(lambda model: open_engine(manifest, model, threads))
        files = [manifest.directory / manifest.entry(model).file for model in DETECTORS["edged"].models]
        self._bytes = sum(file.stat().st_size for file in files)

    def contestant(self, name: str, enlarge: float, *, still: bool) -> Contestant:
        """One of this name that sees pictures `enlarge` times as large."""
        low, served = (
            make_detector("edged", self._open, DetectionLimits(CLEAR_FACE / enlarge, least, still))
            for least in (LOWEST_SCORE, SERVED_SCORE)
        )
        return Contestant(name, low, served, self._bytes)


def _peers(folder: Path, threads: int) -> Iterator[Contestant]:
    """YuNet at two working sizes, and Ultra-Light, where their files are there."""
    for name, file in (YUNET | ULTRA_LIGHT).items():
        if not (folder / file).is_file():
            continue
        model = (folder / file).read_bytes()
        engine = OnnxEngine(name, model, threads)
        if name in ULTRA_LIGHT:
            yield Contestant(name, UltraLight(engine, LOWEST_SCORE), UltraLight(engine, SERVED_SCORE), len(model))
            continue
        for enlarge in ENLARGEMENTS:
            low, served = (YuNet(engine, enlarge, least) for least in (LOWEST_SCORE, SERVED_SCORE))
            yield Contestant(f"{name}, {enlarge:g}x", low, served, len(model))
