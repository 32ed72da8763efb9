"""The comparison of everything that reads a found face: landmark regressors, then head poses, in one run."""

from pathlib import Path

from convert.landmarks.architectures import EFFICIENTNET
from convert.landmarks.compare import compared_sets, comparison, contestants
from convert.landmarks.export import export_landmarks
from convert.pose.evaluate import report


def face_tables(data: Path, engines: Path, efficientnet_run: Path | None, most: int | None) -> str:
    """Both tables, over at most `most` faces of each set.

    EfficientNet-B0 takes part where its training's folder is named. Raise UsageError when nothing was trained there.
    """
    rows = contestants(engines, None if efficientnet_run is None else exported(efficientnet_run))
    landmarks = comparison(rows, compared_sets(data, most))
    poses, _ = report(data, engines, most)
    return (
        f"68 landmarks\n\n{landmarks}\n\n"
        f"Head pose on sequences kept back, degrees; fused is the default, of the learned one and the 68 points\n\n{poses}"
    )


def exported(run: Path) -> Path:
    """EfficientNet-B0's ONNX file in the folder of its training, written first where `export-landmarks` has not been run."""
    target = run / f"{EFFICIENTNET}.onnx"
    if not target.is_file():
        export_landmarks(run, target, EFFICIENTNET)
    return target
