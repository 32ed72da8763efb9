"""Writes the learned pose as ONNX with honest expected errors, and prints the figures of its card."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convert.onnx_file import Exported, Signature, require_parity, write_onnx
from convert.pose.evaluate import Score, mean_errors
from convert.pose.evaluate import report as compared
from convert.pose.heads import HELD_OUT
from convert.pose.heatmap_train import export_heatmap
from convert.pose.network import PoseModel, PoseNetwork
from convert.pose.sources import WIDE
from convert.pose.store import HeadStore, open_store
from convert.pose.train import rotations_of
from convert.record import Report, record_model
from convert.training.progress import load_trained
from edged.analyse.pose.fused import CROP_SIZE
from edged.analyse.pose.rotation import vector_of
from edged.errors import UsageError
from edged.inference import load_manifest

SIGNATURE = Signature({"faces": {0: "batch"}}, {"columns": {0: "batch"}, "deviations": {0: "batch"}})
TOLERANCE = 1e-3
"""Of a rotation's entries, and of degrees."""


def export_pose(run: Path, target: Path) -> Exported:
    """Write the averaged weights of `run/checkpoint.pt` to `target`, expected errors scaled to those on the heads kept back."""
    network = PoseNetwork()
    step = load_trained(network, run)
    stores = [store for folder in sorted(run.glob("heads-*-kept")) if (store := open_store(folder)) is not None]
    if not stores:
        raise UsageError(f"{run}: holds no heads kept back (heads-*-kept); train first")
    images = inner(stores[0])
    scale = deviation_scale(network, stores[0], images)
    model = PoseModel(network, scale)
    sha256 = write_onnx(model, torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8), SIGNATURE, target)
    batches = [torch.from_numpy(images[:count].copy()) for count in (1, 7, 32)]
    return Exported(sha256, step, require_parity(model, target, batches, TOLERANCE))


def export_both(data: Path, run: Path, heatmap_run: Path | None, engines: Path) -> list[tuple[str, str, Report]]:
    """Write both models; give each one's name, SHA-256 and report. The comparison needs the landmark regressor too.

    Without `heatmap_run` the heatmaps' model stays as it is, and is only measured anew.
    """
    manifest = engines / "manifest.toml"
    pose = export_pose(run, engines / "pose.onnx")
    record_model(manifest, "pose", pose.sha256, {})
    if heatmap_run is None:
        entry = load_manifest(engines).entry("pose-heatmap")
        heatmap_sha256, heatmap_step = entry.sha256, float(entry.figures["step"])
    else:
        heatmap = export_heatmap(heatmap_run, engines / "pose-heatmap.onnx")
        heatmap_sha256, heatmap_step = heatmap.sha256, heatmap.step
        record_model(manifest, "pose-heatmap", heatmap_sha256, {})
    text, scores = compared(data, engines)
    heading = (
        f"Heads of the sequences {', '.join(HELD_OUT)} of BIWI, which no training saw; degrees, mean absolute errors:"
    )
    tables = f"{heading}\n\n{text}"
    return [
        ("pose", pose.sha256, Report(tables, _figures(scores, "edged (both, fused)") | {"step": pose.step})),
        ("pose-heatmap", heatmap_sha256, Report(tables, _figures(scores, "heatmap") | {"step": heatmap_step})),
    ]


def _figures(scores: Mapping[tuple[str, str], Score], reader: str) -> dict[str, float]:
    return {
        f"mae_{kind}": round(float(mean_errors(scores[kind, reader].errors).mean()), 2) for kind in ("bare", "masked")
    }


def inner(store: HeadStore) -> NDArray[np.uint8]:
    """The wide crops' middles: what the network sees in service."""
    edge = (WIDE - CROP_SIZE) // 2
    return np.ascontiguousarray(store.images[:, edge : edge + CROP_SIZE, edge : edge + CROP_SIZE, :3])


def deviation_scale(network: PoseNetwork, store: HeadStore, images: NDArray[np.uint8]) -> float:
    """What turns the network's expected turn (radians) into the root mean square error of one angle (degrees).

    A turn's square is the sum of the three angles' squares, as far as turns are small; the mean of squares is taken over
    the nine tenths of the heads that are read best, so that a few misses do not make every answer look bad.
    """
    told, scales = rotations_of(network, images)
    ratios = np.degrees(np.linalg.norm(vector_of(told.transpose(0, 2, 1) @ store.rotations), axis=1)) / scales
    kept = np.sort(ratios)[: max(1, int(0.9 * len(ratios)))]
    return float(np.sqrt((kept**2).mean() / 3))
