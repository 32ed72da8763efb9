"""Tells where heads point; each reader is a class behind `edged.ports.PoseReader`, made by name here."""

from collections.abc import Callable

from edged.analyse.pose.fused import FusedPose
from edged.analyse.pose.heatmap import HeatmapPose
from edged.analyse.pose.six_point import SixPointPose
from edged.errors import ConfigError
from edged.ports import Engine, PoseReader

MODELS: dict[str, tuple[str, ...]] = {"edged": ("pose",), "heatmap": ("pose-heatmap",), "pnp6": ()}
"""The manifest's names of the models behind each reader."""


def make_pose_reader(name: str, open_model: Callable[[str], Engine]) -> PoseReader:
    """The reader called `name`, its models opened by `open_model` under the names that `MODELS` lists.

    Raise ConfigError for a name that is not known, and whatever `open_model` raises.
    """
    if name not in MODELS:
        raise ConfigError(f"head pose {name!r} is not known; known are: {', '.join(MODELS)}")
    if name == "pnp6":
        return SixPointPose()
    (engine,) = (open_model(model) for model in MODELS[name])
    return FusedPose(engine) if name == "edged" else HeatmapPose(engine)


__all__ = ["MODELS", "FusedPose", "HeatmapPose", "SixPointPose", "make_pose_reader"]
