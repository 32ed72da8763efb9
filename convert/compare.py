"""Measures detectors side by side in one run: ours, those we convert, and others' that lie beside the data."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from convert.data.coco import LabelledPicture, read_coco, read_picture
from convert.data.split import is_held_out
from convert.detector.evaluate import SIZE_BANDS, DetectionFigures, score
from convert.peers import UltraLight, YuNet
from edged.detect import Mtcnn, MtcnnSettings, RetinaFace, RetinaFaceSettings
from edged.detect.anchor_free import AnchorFreeDetector
from edged.errors import UsageError
from edged.inference import Manifest, OnnxEngine, open_engine
from edged.ports import Detector
from edged.types import Detection, Image

LOWEST_SCORE = 0.02
"""Accuracy counts finds down to this, as usual for AP."""
SERVED_SCORE = 0.3
"""Time is taken at this: what edged asks of a detector in service, whose tracker makes use of weak sightings."""
MTCNN_SETTINGS = MtcnnSettings(smallest_face=20.0, thresholds=(0.6, 0.7, 0.3))
"""A lower threshold of O-Net brings MTCNN little (see its card) and costs much time: one detector serves for both."""
YUNET = {"YuNet-n": "yunet_n_dynamic.onnx", "YuNet-s": "yunet_s_dynamic.onnx"}
ENLARGEMENTS = (1.0, 2.0)
ULTRA_LIGHT = {"Ultra-Light RFB 640": "ulfg_rfb_640.onnx"}


@dataclass(frozen=True)
class Contestant:
    """One row of the table: what is scored, what is timed, and the size of its files."""

    name: str
    scored: Detector
    served: Detector
    file_bytes: int


@dataclass(frozen=True)
class Result:
    """What one detector reached: figures, milliseconds a picture (median) with decoding, and its files' size."""

    name: str
    figures: DetectionFigures
    milliseconds: float
    file_bytes: int

    def record(self) -> dict[str, Any]:
        """The row as JSON has it."""
        return {
            "detector": self.name,
            "ap": round(self.figures.ap, 4),
            "recall_by_size": {band: round(value, 4) for band, value in self.figures.recall.items()},
            "ms_a_picture": round(self.milliseconds, 2),
            "file_bytes": self.file_bytes,
        }


@dataclass(eq=False)
class Replay:
    """Gives again what was found, picture after picture, so that scoring need not run the detector."""

    found: list[list[Detection]] = field(default_factory=list)
    _next: int = 0

    def detect(self, image: Image) -> list[Detection]:
        """The finds of the next picture."""
        self._next += 1
        return self.found[self._next - 1]


def pictures_of(data: Path, everything: bool, most: int | None) -> list[LabelledPicture]:
    """The held-out pictures of masks853, or all; the first `most` of them."""
    pictures = read_coco(data / "masks853")
    chosen = [picture for picture in pictures if everything or is_held_out(picture.path.name)][:most]
    if not chosen:
        raise UsageError("no picture is left to compare on; ask for more with --pictures, or for --all")
    return chosen


def contestants(data: Path, manifest: Manifest, threads: int) -> list[Contestant]:
    """Every detector whose files are there, ours first. Raise ModelError when one of ours is not what was checked."""
    ours = [
        *_converted(manifest, "edged", ("detector",), threads),
        *_converted(manifest, "RetinaFace 0.25", ("retinaface",), threads),
        *_converted(manifest, "MTCNN", ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"), threads),
    ]
    return [*ours, *_peers(data / "peers", threads)]


def _converted(manifest: Manifest, name: str, models: tuple[str, ...], threads: int) -> Iterator[Contestant]:
    """The detector made of the manifest's `models`, unless one of them is not there."""
    files = [manifest.directory / manifest.entry(m).file for m in models if m in manifest.entries]
    if len(files) < len(models) or not all(file.is_file() for file in files):
        return
    engines = [open_engine(manifest, model, threads) for model in models]
    size = sum(file.stat().st_size for file in files)
    if len(engines) == 3:
        mtcnn = Mtcnn(*engines, MTCNN_SETTINGS)
        yield Contestant(name, mtcnn, mtcnn, size)
    elif models == ("retinaface",):
        low, served = (RetinaFace(*engines, RetinaFaceSettings(score=s)) for s in (LOWEST_SCORE, SERVED_SCORE))
        yield Contestant(name, low, served, size)
    else:
        scored, ours = (AnchorFreeDetector(*engines, score=s) for s in (LOWEST_SCORE, SERVED_SCORE))
        yield Contestant(name, scored, ours, size)


def _peers(folder: Path, threads: int) -> Iterator[Contestant]:
    """YuNet at two working sizes, and Ultra-Light, where their files are there."""
    for name, file in YUNET.items():
        if (folder / file).is_file():
            model = (folder / file).read_bytes()
            engine = OnnxEngine(name, model, threads)
            for enlarge in ENLARGEMENTS:
                pair = (YuNet(engine, enlarge, s) for s in (LOWEST_SCORE, SERVED_SCORE))
                yield Contestant(f"{name}, {enlarge:g}x", *pair, len(model))
    for name, file in ULTRA_LIGHT.items():
        if (folder / file).is_file():
            model = (folder / file).read_bytes()
            engine = OnnxEngine(name, model, threads)
            yield Contestant(name, *(UltraLight(engine, s) for s in (LOWEST_SCORE, SERVED_SCORE)), len(model))


def compare(detectors: Sequence[Contestant], pictures: Sequence[LabelledPicture]) -> list[Result]:
    """Run every detector on every picture, one after the other on each: what else the machine does hits all alike."""
    finds = {contestant.name: Replay() for contestant in detectors}
    times: dict[str, list[float]] = {contestant.name: [] for contestant in detectors}
    for picture in tqdm(pictures, desc="comparing", unit="picture", disable=None):
        image = read_picture(picture.path)
        for contestant in detectors:
            # Untimed, and before the timed run: it also lets the runtime prepare for this picture's size.
            finds[contestant.name].found.append(contestant.scored.detect(image))
        for contestant in detectors:
            start = time.perf_counter()
            contestant.served.detect(image)
            times[contestant.name].append(time.perf_counter() - start)
    return [
        Result(c.name, score(finds[c.name], pictures), float(np.median(times[c.name]) * 1000), c.file_bytes)
        for c in detectors
    ]


def table(results: Sequence[Result]) -> str:
    """The rows in plain text, the best AP first."""
    bands = [f"{low}-{high}" for low, high in SIZE_BANDS]
    heads = [band if band != bands[-1] else f">={SIZE_BANDS[-1][0]}" for band in bands]
    lines = [f"{'detector':<20} {'AP@0.4':>7} " + " ".join(f"{head:>6}" for head in heads) + f" {'ms':>7} {'kB':>6}"]
    for result in sorted(results, key=lambda row: -row.figures.ap):
        recall = " ".join(f"{result.figures.recall.get(band, float('nan')):>6.3f}" for band in bands)
        size = result.file_bytes / 1000
        lines.append(f"{result.name:<20} {result.figures.ap:>7.4f} {recall} {result.milliseconds:>7.2f} {size:>6.0f}")
    return "\n".join(lines)
