"""Measures landmark regressors side by side in one run: edged's, and EfficientNet-B0 where it has been trained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.data.landmarks import read_points
from convert.landmarks.architectures import ARCHITECTURES, EFFICIENTNET, OURS
from convert.landmarks.evaluate import Faces, found_faces, our_detector, score
from convert.landmarks.export import MASK_SEED
from edged.analyse.landmarks import CROP_SIZE, MAX_BATCH, LandmarkRegressor
from edged.errors import UsageError
from edged.inference import OnnxEngine
from edged.types import Detection

BATCHES = (1, 8)
RUNS = 60


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    regressor: LandmarkRegressor
    file_bytes: int


def contestants(engines: Path, efficientnet: Path | None) -> list[Contestant]:
    """Ours, with one pass and with two, and EfficientNet-B0 when its file is given. Raise UsageError when one is missing."""
    ours = engines / "landmarks.onnx"
    rows = [
        _contestant(f"{OURS}, {passes} pass{'es' * (passes > 1)}", ours, passes)
        for passes in (ARCHITECTURES[OURS].passes, 1)
    ]
    if efficientnet is not None:
        rows.append(_contestant(EFFICIENTNET, efficientnet, ARCHITECTURES[EFFICIENTNET].passes))
    return rows


def _contestant(name: str, model: Path, passes: int) -> Contestant:
    try:
        data = model.read_bytes()
    except OSError as error:
        raise UsageError(f"{model}: cannot be read ({error.strerror}); write it with export-landmarks") from None
    return Contestant(name, LandmarkRegressor(OnnxEngine(name, data, threads=1), passes), len(data))


def compared_sets(data: Path, most: int | None) -> dict[str, Faces]:
    """HELEN's test faces, bare and masked, and the videos' test faces, in our detector's boxes; the first `most` of each."""
    detector = our_detector()
    helen, youtube = (read_points(data / "landmarks68" / name)[:most] for name in ("helen_test", "youtube_test"))
    return {
        "HELEN": found_faces(helen, detector),
        "HELEN masked": found_faces(helen, detector, MASK_SEED),
        "YouTube": found_faces(youtube, detector),
    }


def milliseconds(regressor: LandmarkRegressor, faces: Faces, batch: int) -> float:
    """A face's share of one call with `batch` faces of one picture, cropping included: the best of RUNS runs."""
    image, found = faces.images[0], faces.detections[0]
    detections: list[Detection] = [found] * batch
    regressor.read(image, detections)
    spent = []
    for _ in range(RUNS):
        start = time.perf_counter()
        regressor.read(image, detections)
        spent.append(time.perf_counter() - start)
    return min(spent) * 1000 / batch


def comparison(rows: Sequence[Contestant], sets: dict[str, Faces]) -> str:
    """The table: NME in percent of the outer-eye distance / share of faces over 10 %, milliseconds a face, megabytes."""
    heads = "".join(f"{f'{name} ({len(faces.images)})':>22}" for name, faces in sets.items())
    times = "".join(f"{f'ms, batch {batch}':>13}" for batch in BATCHES)
    lines = [
        f"NME % / faces over 10 %; {CROP_SIZE} px crops, batches of at most {MAX_BATCH}",
        f"ms a face: one thread, cropping included, best of {RUNS} runs",
        "",
        f"{'regressor':<18}{heads}{times}{'MB':>7}",
    ]
    first = next(iter(sets.values()))
    for row in rows:
        figures = [score(row.regressor, faces) for faces in sets.values()]
        cells = "".join(f"{f'{figure.mean:.2f} / {figure.failures:.1%}':>22}" for figure in figures)
        spent = "".join(f"{milliseconds(row.regressor, first, batch):>13.2f}" for batch in BATCHES)
        lines.append(f"{row.name:<18}{cells}{spent}{row.file_bytes / 1e6:>7.2f}")
    return "\n".join(lines)
