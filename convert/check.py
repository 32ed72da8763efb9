"""Holds a model's other forms against its FP32 form on the CPU, number by number: another file, FP16, a TensorRT plan."""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.data.coco import read_picture
from convert.fp16 import rounded
from convert.model_file import NamedModel
from convert.plan import make_plan, shown_progress
from edged.analyse.analyser import is_masked, read_faces
from edged.assembly import EVERYTHING, load_models
from edged.config import ModelsConfig
from edged.errors import ModelError, UsageError
from edged.inference import OnnxEngine
from edged.inference.compare import (
    DEGREES,
    PART_OF_RANGE,
    PIXELS,
    PIXELS_OF_LENGTH,
    PROBABILITY,
    Agreement,
    compare_engines,
)
from edged.inference.half import to_half
from edged.inference.tensorrt import BuildOptions, TensorrtEngine, find_toolkit, tensorrt_available
from edged.ports import Arrays, Engine
from edged.readers import DETECTORS, LANDMARK_READERS, MASK_CLASSIFIERS, POSE_READERS, Choice, using
from edged.selftest.golden import MOST_BATCHES, RecordingEngine, golden_inputs
from edged.types import Lens

ALLOWED = {
    "probability": f"{PROBABILITY:g}",
    "logit": f"{PROBABILITY:g} of the probability",
    "pixels": f"{PIXELS:g} px or {PIXELS_OF_LENGTH:.1%} of a length",
    "degrees": f"{DEGREES:g} degrees",
    "part of its range": f"{PART_OF_RANGE:.0%} of the largest value",
}
"""What may differ, by the unit that `edged.inference.compare` tells."""


@dataclass(frozen=True)
class Comparison:
    """One form of the model beside the reference; `problem` is why there is nothing to compare, in one line."""

    form: str
    agreements: tuple[Agreement, ...]
    problem: str | None
    used: bool
    """Whether edged would run the model in this form; one that it would not may differ."""

    @property
    def agrees(self) -> bool:
        return self.problem is None and all(part.holds for part in self.agreements)


@dataclass(frozen=True)
class ParityReport:
    """How all forms of one model compare."""

    model: str
    reference: str
    batches: int
    pictures: str
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every form that edged would run answers as the reference does."""
        return all(comparison.agrees for comparison in self.comparisons if comparison.used)

    def record(self) -> dict[str, Any]:
        """As JSON has it; a difference that is no number (an answer was not finite) is null."""
        return {
            "model": self.model,
            "reference": self.reference,
            "batches": self.batches,
            "pictures": self.pictures,
            "agrees": self.agrees,
            "forms": [
                {
                    "form": found.form,
                    "agrees": found.agrees,
                    "used": found.used,
                    "problem": found.problem,
                    "parts": [
                        {
                            "output": part.output,
                            "unit": part.unit,
                            "compared": part.compared,
                            "difference_of_allowed": part.difference if math.isfinite(part.difference) else None,
                        }
                        for part in found.agreements
                    ],
                }
                for found in self.comparisons
            ],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """A table for a person."""
        lines = [
            f"{self.model}: {self.batches} batches from {self.pictures}; reference: {self.reference}",
            "",
            f"{'form':<10} {'output':<16} {'numbers are':<18} {'compared':>9} {'of allowed':>11}  agrees",
        ]
        units: dict[str, None] = {}
        for found in self.comparisons:
            if found.problem is not None:
                lines.append(f"{found.form:<10} {found.problem}")
            for part in found.agreements:
                units[part.unit] = None
                verdict = "yes" if part.holds else "NO" if found.used else "no, and not used"
                cells = f"{part.output:<16} {part.unit:<18} {part.compared:>9} {part.difference:>11.1%}"
                lines.append(f"{found.form:<10} {cells}  {verdict}")
        lines += ["", *(f"allowed, {unit}: {ALLOWED[unit]}" for unit in units), *self.notes]
        return "\n".join(lines)


def check_model(model: NamedModel, reference: NamedModel, pictures: Sequence[Path] = ()) -> ParityReport:
    """Run every form of `model` and the FP32 `reference` on what the product's stages give that model for `pictures`.

    Without pictures, for the golden ones. Raise UsageError when no face is found in the pictures, and ModelError when the
    reference cannot be run.
    """
    inputs = picture_inputs(model.name, pictures) if pictures else _golden(model.name)
    engine = OnnxEngine(model.name, reference.data, threads=1)
    notes: list[str] = []
    with contextlib.ExitStack() as open_forms:
        comparisons = [
            _compared(form, open_form, used, engine, model, inputs)
            for form, open_form, used in _forms(model, reference, notes, open_forms)
        ]
    sha256 = hashlib.sha256(reference.data).hexdigest()
    return ParityReport(
        model.name,
        f"{reference.path}, sha256 {sha256[:12]}, FP32 on the CPU",
        len(inputs),
        f"{len(pictures)} pictures" if pictures else "the golden pictures",
        tuple(comparisons),
        tuple(notes),
    )


Form = tuple[str, Callable[[], Engine], bool]
"""Its name, what opens it, and whether edged would run the model so."""


def _forms(
    model: NamedModel, reference: NamedModel, notes: list[str], open_forms: contextlib.ExitStack
) -> Iterator[Form]:
    """The file as it is, where it is another than the reference; FP16; and TensorRT's plan."""
    name, precision = model.name, model.entry.precision
    if model.data != reference.data:
        yield "the file", lambda: OnnxEngine(name, model.data, threads=1), True
    yield "FP16", lambda: OnnxEngine(name, rounded(to_half(model.data, name)), threads=1), precision == "fp16"
    if precision != "fp16":
        notes.append(f"The manifest says {precision}: edged uses no FP16 of this model.")
    missing = tensorrt_available()
    if missing:
        notes.append(f"TensorRT was not compared: {missing}")
    else:
        yield "TensorRT", lambda: _on_tensorrt(model, open_forms), True


def _on_tensorrt(model: NamedModel, open_forms: contextlib.ExitStack) -> Engine:
    """The plan, built now; closed with `open_forms`."""
    toolkit = find_toolkit()
    with shown_progress(model.name) as progress:
        plan = make_plan(toolkit, model, BuildOptions(model.entry.precision), progress)
    thread = toolkit.open_thread()
    open_forms.callback(thread.close)
    return TensorrtEngine(model.name, plan, thread)


def _compared(
    form: str,
    open_form: Callable[[], Engine],
    used: bool,
    reference: Engine,
    model: NamedModel,
    inputs: Sequence[Arrays],
) -> Comparison:
    try:
        candidate = open_form()
        return Comparison(form, tuple(compare_engines(model.entry, reference, candidate, inputs)), None, used)
    except ModelError as error:
        return Comparison(form, (), str(error), used)


def _golden(name: str) -> list[Arrays]:
    return list(golden_inputs([name], ModelsConfig(threads=1))[name])


def picture_inputs(name: str, pictures: Sequence[Path]) -> list[Arrays]:
    """What the model is given, at most MOST_BATCHES batches, while these pictures run through the CPU's stages.

    Raise UsageError when no stage runs the model on them: there is no face.
    """
    recorders: dict[str, RecordingEngine] = {}

    def recording(engine: Engine) -> Engine:
        recorders[engine.name] = RecordingEngine(engine)
        return recorders[engine.name]

    models = load_models(_config_with(name), EVERYTHING, recording)
    readers = models.readers(EVERYTHING)
    for path in pictures:
        image = read_picture(path)
        found = models.detector.detect(image)
        masked = [is_masked(scores) for scores in models.judge.judge(image, [face.box for face in found])]
        if readers is not None and found:
            read_faces(readers, image, found, masked, Lens.of(image.shape[1], image.shape[0]))
    given = recorders[name].given if name in recorders else []
    if not given:
        raise UsageError(
            f"--picture: in {pictures[0]}{' and the others' * (len(pictures) > 1)} there is no face to read"
        )
    return list(given[:MOST_BATCHES])


def _config_with(name: str) -> ModelsConfig:
    """Settings by which the product runs the model called `name`."""
    tables: dict[str, Mapping[str, Choice[Any]]] = {
        "detector": DETECTORS,
        "mask": MASK_CLASSIFIERS,
        "landmarks": LANDMARK_READERS,
        "pose": POSE_READERS,
    }
    chosen = {key: found[0] for key, table in tables.items() if (found := using(table, [name]))}
    return ModelsConfig.model_validate(chosen | {"threads": 1})
