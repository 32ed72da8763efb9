"""Takes a user's own mask classifier into an engines folder, once it has shown that it means what was said of it."""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convert.classifiers.export import Written, write_classifier
from convert.classifiers.network import FaceNetwork, Pixels, UserModel
from convert.data.coco import read_picture
from edged.analyse.mask import CROP_MARGIN, CROP_SIZE, MAX_BATCH
from edged.crops import square_crops
from edged.errors import Failed, UsageError
from edged.inference import load_manifest
from edged.types import JUDGED_STATES, Box, MaskState

Triple = tuple[float, float, float]
RANGES: dict[str, tuple[Triple, Triple]] = {
    "0..255": ((0, 0, 0), (1, 1, 1)),
    "0..1": ((0, 0, 0), (255, 255, 255)),
    "-1..1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "resnet50": ((103.939, 116.779, 123.68), (1, 1, 1)),
    "torch": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and scale by name. "resnet50": as `keras.applications.resnet50` has it, blue first; "torch": as torchvision, red first."""
SURE_ENOUGH = 0.5
USUAL_BATCH = 4
"""Faces at once that a GPU engine is tuned for."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Claim:
    """What the user says of the model.

    `classes`: the state that each output stands for, in order; one sigmoid output counts as two, the second being its 1.
    `golden`: a picture of one face that is worn as `golden_state` says; `golden_box` (x1, y1, x2, y2) when it shows more.
    """

    model: Path
    classes: tuple[MaskState, ...]
    pixels: str
    rgb: bool
    logits: bool
    golden: Path
    golden_state: MaskState
    golden_box: Box | None
    licence: str
    training_data: str


def claim_of(
    classes: str, colours: str, golden_state: str, golden_box: tuple[float, float, float, float] | None, **rest: Any
) -> Claim:
    """A claim in the words of the command line. Raise UsageError for a state that does not exist."""
    try:
        states = tuple(MaskState(word.strip()) for word in classes.split(","))
    except ValueError:
        raise UsageError(
            f"--classes {classes}: name the states correct, incorrect, none, with commas between"
        ) from None
    box = Box(*golden_box) if golden_box else None
    return Claim(classes=states, rgb=colours == "rgb", golden_state=MaskState(golden_state), golden_box=box, **rest)


class Adopted(nn.Module):
    """uint8 faces [batch, 112, 112, 3], BGR, to probabilities [batch, 3] in the order of JUDGED_STATES.

    A state that the model does not know gets 0.
    """

    places: Tensor

    def __init__(self, network: FaceNetwork, classes: Sequence[MaskState], single: bool, logits: bool) -> None:
        super().__init__()
        self.network, self._single, self._logits = network, single, logits
        rows = [[float(state == judged) for judged in JUDGED_STATES] for state in classes]
        self.register_buffer("places", torch.tensor(rows))

    def forward(self, faces: Tensor) -> Tensor:
        answer = self.network(faces)
        if self._single:
            second = torch.sigmoid(answer) if self._logits else answer
            answer = torch.cat([1 - second, second], dim=1)
        elif self._logits:
            answer = torch.softmax(answer, dim=1)
        return answer @ self.places


def adopt(claim: Claim, opened: AbstractContextManager[UserModel], folder: Path, name: str, replace: bool) -> Written:
    """Write `NAME.onnx`, its card, its golden picture and its manifest entry into `folder`.

    `opened` gives the model when it is entered, for which there must be room. Raise UsageError when the request does not
    fit the model or the folder, and Failed when the golden picture is judged otherwise, or ONNX Runtime disagrees with
    the model; in both cases the folder stays as it was.
    """
    manifest = _require_room(folder, name, replace)
    face, picture = golden_face(claim), claim.golden.read_bytes()
    with opened as model:
        adopted = wrap(claim, model)
        scores = _require_golden(adopted, face, claim)
        folder.mkdir(parents=True, exist_ok=True)
        written = write_classifier(adopted, _probes(face), folder / f"{name}.onnx")
    golden = f"{name}-golden{claim.golden.suffix.lower()}"
    (folder / golden).write_bytes(picture)
    (folder / f"{name}.md").write_text(_card(claim, model.kind, name, golden, scores))
    part = folder / "manifest.toml.part"
    figures: dict[str, str | float] = {"golden": golden, "golden_sha256": hashlib.sha256(picture).hexdigest()}
    figures |= {f"golden_{state}": score for state, score in scores.items()}
    part.write_text(_without(manifest, name) + _entry(claim, name, figures, written))
    part.replace(folder / "manifest.toml")
    load_manifest(folder).verified_bytes(name)
    return written


def wrap(claim: Claim, model: UserModel) -> Adopted:
    """The model as the product runs it. Raise UsageError when the classes are not such a classifier's, or do not fit it."""
    unknown = {*claim.classes} - {*JUDGED_STATES}
    if (
        unknown
        or len({*claim.classes}) != len(claim.classes)
        or not {MaskState.CORRECT, MaskState.NONE} <= {*claim.classes}
    ):
        raise UsageError(f"classes {_listed(claim.classes)}: name correct, none and perhaps incorrect, each once")
    single = model.outputs == 1 and len(claim.classes) == 2
    if not single and model.outputs != len(claim.classes):
        raise UsageError(
            f"{claim.model}: gives {model.outputs} numbers, which does not fit {len(claim.classes)} classes"
        )
    mean, scale = RANGES[claim.pixels]
    pixels = Pixels(model.height, model.width, claim.rgb, mean, scale)
    network = FaceNetwork(model.network, pixels, model.channels_first)
    adopted = Adopted(network, claim.classes, single, claim.logits)
    adopted.eval()
    return adopted


def golden_face(claim: Claim) -> NDArray[np.uint8]:
    """1 x 112 x 112 x 3: the golden picture's face, cut as in service, or the whole picture where no box is given."""
    image = read_picture(claim.golden)
    if claim.golden_box is not None:
        return square_crops(image, [claim.golden_box], CROP_SIZE, CROP_MARGIN)
    return np.asarray(cv2.resize(image, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA), np.uint8)[None]


@torch.inference_mode()
def _require_golden(model: Adopted, face: NDArray[np.uint8], claim: Claim) -> dict[str, float]:
    scores = dict(zip(JUDGED_STATES, model(torch.from_numpy(face))[0].tolist(), strict=True))
    if not scores[claim.golden_state] > SURE_ENOUGH:
        found = ", ".join(f"{state} {score:.2f}" for state, score in scores.items())
        raise Failed(
            f"{claim.golden}: should be {claim.golden_state}, and the model says {found}; the order of classes, the order of "
            "colours or the range of pixels is not the one it was trained with. Nothing was written"
        )
    return {str(state): round(score, 4) for state, score in scores.items()}


def _probes(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What both runtimes must agree on: the golden face, seen in other lights, mirrored and turned, and noise."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *face.shape[1:]), dtype=np.uint8)
    return np.concatenate([face, face[:, :, ::-1], face[:, ::-1], face // 2, 255 - face, noise])


def _require_room(folder: Path, name: str, replace: bool) -> str:
    """The text of the folder's manifest; empty where there is none yet."""
    if not NAME.fullmatch(name):
        raise UsageError(f"name {name!r}: use small letters, digits and hyphens")
    path = folder / "manifest.toml"
    if not path.exists():
        return "# Models of this folder; read by edged, which refuses a file whose sha256 is another.\n"
    if name in load_manifest(folder).entries and not replace:
        raise UsageError(f"{path}: has a model {name!r}; name another, or say --replace")
    return path.read_text()


def _without(manifest: str, name: str) -> str:
    """The manifest without the tables of `name`."""
    tables = re.split(r"(?m)^(?=\[)", manifest)
    mine = re.compile(rf"\[model\.{re.escape(name)}[\].]")
    return "".join(table for table in tables if not mine.match(table)).rstrip() + "\n"


def _entry(claim: Claim, name: str, golden: dict[str, str | float], written: Written) -> str:
    facts = {
        "file": f"{name}.onnx",
        "sha256": written.sha256,
        "task": "mask-state",
        "preprocessing": _preprocessing(claim),
        "licence": claim.licence,
        "training_data": claim.training_data,
        "card": f"{name}.md",
    }
    lines = [
        f"[model.{name}]",
        *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()),
        f"classes = {json.dumps([str(state) for state in JUDGED_STATES])}",
        f"[model.{name}.inputs]",
        f'faces = {{ dtype = "uint8", shape = ["batch", {CROP_SIZE}, {CROP_SIZE}, 3] }}',
        f"[model.{name}.outputs]",
        'probabilities = { dtype = "float32", shape = ["batch", 3] }',
        f"[model.{name}.profiles]",
        f"faces = {{ min = {_faces(1)}, opt = {_faces(USUAL_BATCH)}, max = {_faces(MAX_BATCH)} }}",
        f"[model.{name}.agreement]",
        'probabilities = [{ unit = "probability" }]',
        f"[model.{name}.figures]",
        *(f"{key} = {json.dumps(value)}" for key, value in golden.items()),
    ]
    return "\n" + "\n".join(lines) + "\n"


def _faces(count: int) -> list[int]:
    return [count, CROP_SIZE, CROP_SIZE, 3]


def _preprocessing(claim: Claim) -> str:
    order = "red first" if claim.rgb else "blue first"
    return (
        f"BGR 0…255 as uint8: a square of side {CROP_MARGIN} times the face box's longer side, centred on the box, edge "
        f"pixels repeated outside the picture; size, {order}, and pixels as {claim.pixels!r} are inside"
    )


def _card(claim: Claim, kind: str, name: str, golden: str, scores: dict[str, float]) -> str:
    judged = ", ".join(f"{state} {score:.3f}" for state, score in scores.items())
    return (
        f"# {name}: a mask classifier made from {claim.model.name}\n\n"
        f"Outputs of the {kind}, in order: {_listed(claim.classes)}. Pixels: {_preprocessing(claim)}.\n\n"
        f"Golden picture: {golden}, {claim.golden_state}; judged {judged}.\n\n"
        f"Licence: {claim.licence}. Training data: {claim.training_data}.\n\n"
        "No accuracy is claimed here: measure it with `python -m convert decide-mask`.\n"
    )


def _listed(classes: Sequence[MaskState]) -> str:
    return ", ".join(map(str, classes))
