"""Measures what half precision costs each model: its figure of merit in FP32 and in FP16, on data it has not seen.

ONNX Runtime's CPU computes FP16 graphs in FP32 and rounds next to nothing in between, which flatters them. So the graph
is run in FP32 with every activation rounded to FP16 where the FP16 graph has one: weights and activations are those of
FP16, sums are those of a GPU that accumulates in FP32.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edged.inference import Manifest, OnnxEngine
from edged.inference.half import FULL_PRECISION, to_half
from edged.ports import Engine

MOST_LOST = 0.005
"""The part of a figure that half precision may cost."""

OpenModel = Callable[[str], Engine]
Measure = Callable[[OpenModel], dict[str, float]]


@dataclass(frozen=True)
class Row:
    """One figure of one model, in both precisions."""

    model: str
    figure: str
    full: float
    half: float
    errors: bool
    """Whether the figure is an error, so that less is better."""

    @property
    def lost(self) -> float:
        """The part of the figure that half precision costs; negative where it is better by chance."""
        change = (self.half - self.full) / self.full
        return change if self.errors else 0.0 - change


def rounded(half: bytes) -> bytes:
    """An FP16 model as an FP32 one that rounds every activation to FP16: what a GPU computes, but for its sums."""
    model = onnx.ModelProto.FromString(half)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types |= {v.name: v.type.tensor_type.elem_type for v in [*inferred.value_info, *inferred.output]}
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes = [part for node in model.graph.node for part in _rounding(node, types)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _rounding(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[onnx.NodeProto]:
    """The node in FP32, and after it, for each output that was FP16, there and back."""
    own = onnx.NodeProto.FromString(node.SerializeToString())
    if own.op_type == "Cast" and types[own.output[0]] == TensorProto.FLOAT16:
        del own.attribute[:]
        own.attribute.append(onnx.helper.make_attribute("to", TensorProto.FLOAT))
    late = []
    for place, name in enumerate(node.output):
        if types[name] == TensorProto.FLOAT16:
            exact, narrow = f"{name}__exact", f"{name}__narrow"
            own.output[place] = exact
            late.append(onnx.helper.make_node("Cast", [exact], [narrow], to=TensorProto.FLOAT16))
            late.append(onnx.helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    yield own
    yield from late


def measure(
    data: Path, manifest: Manifest, only: Collection[str] = (), keep: Collection[str] = FULL_PRECISION
) -> list[Row]:
    """A row for each figure of each model that is there; `only` these, if given, with `keep` left in FP32."""

    @functools.cache
    def full(name: str) -> Engine:
        return OnnxEngine(name, manifest.verified_bytes(name), threads=1)

    @functools.cache
    def half(name: str) -> Engine:
        return OnnxEngine(name, rounded(to_half(manifest.verified_bytes(name), name, keep)), threads=1)

    rows = []
    for model, (needs, errors, take) in _measures(data, full).items():
        there = all(
            name in manifest.entries and (manifest.directory / manifest.entry(name).file).is_file() for name in needs
        )
        if there and (not only or model in only):
            one, other = take(full), take(half)
            rows += [Row(model, figure, value, other[figure], errors) for figure, value in one.items()]
    return rows


def table(rows: Collection[Row]) -> str:
    """Markdown."""
    lines = ["| model | figure | FP32 | FP16 | lost |", "|---|---|---|---|---|"]
    lines += [f"| {row.model} | {row.figure} | {row.full:.4f} | {row.half:.4f} | {row.lost:+.2%} |" for row in rows]
    return "\n".join(lines)


def _measures(data: Path, full: OpenModel) -> dict[str, tuple[tuple[str, ...], bool, Measure]]:
    """By row: the models it needs, whether its figures are errors, and how to take them."""
    return {
        "detector": (("detector",), False, functools.partial(_detection, data, "edged")),
        "retinaface": (("retinaface",), False, functools.partial(_detection, data, "retinaface")),
        "mtcnn": (("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet"), False, functools.partial(_detection, data, "mtcnn")),
        "mask": (("mask",), False, functools.partial(_mask, data)),
        "eyes": (("eyes",), False, functools.partial(_eyes, data)),
        "landmarks": (("landmarks",), True, functools.partial(_landmarks, data)),
        "pose": (("pose", "detector", "landmarks"), True, functools.partial(_pose, data, full, "pose")),
        "pose-heatmap": (
            ("pose-heatmap", "detector", "landmarks"),
            True,
            functools.partial(_pose, data, full, "pose-heatmap"),
        ),
    }


def _detection(data: Path, name: str, open_model: OpenModel) -> dict[str, float]:
    """AP, and the macro-F1 of the mask branch where there is one, on the held-out part of masks853."""
    from convert.compare import LOWEST_SCORE, pictures_of
    from convert.detector.evaluate import score
    from convert.mask.evaluate import macro_f1
    from edged.detect import Wanted, make_detector

    figures = score(make_detector(name, open_model, Wanted(15, LOWEST_SCORE)), pictures_of(data, False, None))
    branch = {"mask branch, macro-F1": macro_f1(figures.masks)} if figures.masks.sum() else {}
    return {"AP at IoU 0.4": figures.ap, **branch}


def _mask(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On the held-out faces of masks853 of at least 16 px, and on drawn masks."""
    from convert.mask.evaluate import confusion, macro_f1

    def scored(name: str) -> float:
        examples = _mask_examples(data)[name]
        seen = examples.sides >= 16
        answers = _answers(open_model("mask"), "faces", examples.images[seen])
        return macro_f1(confusion(answers, examples.states[seen]))

    return {"macro-F1": scored("held out"), "macro-F1, drawn masks": scored("drawn")}


def _eyes(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On the held-out crops, and on HELEN's test eyes, framed as in service."""
    from convert.eyes.evaluate import accuracy

    examples = _eye_examples(data)
    return {
        f"accuracy, {name}": accuracy(_answers(open_model("eyes"), "eyes", eyes.images), eyes.states)
        for name, eyes in examples.items()
    }


def _landmarks(data: Path, open_model: OpenModel) -> dict[str, float]:
    """On HELEN's test faces, bare and with drawn masks, in our own detector's boxes."""
    from convert.landmarks.evaluate import score
    from edged.analyse.landmarks import LandmarkRegressor

    regressor = LandmarkRegressor(open_model("landmarks"))
    return {f"NME %, {name}": score(regressor, faces).mean for name, faces in _landmark_faces(data).items()}


def _pose(data: Path, full: OpenModel, model: str, open_model: OpenModel) -> dict[str, float]:
    """On BIWI's sequences kept back, bare: detector and landmarks in FP32 for both."""
    from convert.pose.evaluate import LearnedAlone, mean_errors, score
    from edged.analyse.pose.heatmap import HeatmapPose

    reader = LearnedAlone(open_model(model)) if model == "pose" else HeatmapPose(open_model(model))
    return {"mean error, degrees": float(mean_errors(score(reader, _posed_heads(data, full)).errors).mean())}


def _answers(engine: Engine, given: str, images: NDArray[np.uint8]) -> NDArray[Any]:
    parts = [engine.run({given: images[at : at + 32]})["probabilities"] for at in range(0, len(images), 32)]
    return np.concatenate(parts)


# Examples are made once: both precisions must see the same, whatever happens to other models' files meanwhile.


@functools.cache
def _mask_examples(data: Path) -> dict[str, Any]:
    from convert.mask.evaluate import drawn_examples, held_out_examples

    return {"held out": held_out_examples(data), "drawn": drawn_examples(data, 0)}


@functools.cache
def _eye_examples(data: Path) -> dict[str, Any]:
    from convert.eyes.evaluate import held_out_crops, held_out_faces, in_service
    from convert.eyes.export import FOLD

    return {"crops": in_service(held_out_crops(data, FOLD)), "HELEN": in_service(held_out_faces(data))}


@functools.cache
def _landmark_faces(data: Path) -> dict[str, Any]:
    from convert.data.landmarks import read_points
    from convert.landmarks.evaluate import found_faces, our_detector

    faces, detector = read_points(data / "landmarks68" / "helen_test"), our_detector()
    return {"HELEN": found_faces(faces, detector), "HELEN masked": found_faces(faces, detector, 1)}


@functools.cache
def _posed_heads(data: Path, full: OpenModel) -> list[Any]:
    from convert.pose.evaluate import Service, read_all
    from convert.pose.heads import read_heads, split
    from edged.detect import Wanted, make_detector

    service = Service(full, make_detector("edged", full, Wanted(15, 0.1)))
    _, kept = split(read_heads(data / "headpose_biwi"))
    return list(read_all(kept[::4], service.detector, service.landmarks, 0, hidden=False))
