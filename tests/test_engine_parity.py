"""A GPU engine serves only if it answers as the CPU does; how far answers may differ depends on what they mean."""

from itertools import pairwise

import numpy as np
import pytest

from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest
from edged.inference.compare import compare_engines, require_agreement
from edged.inference.manifest import AgreementEntry, ModelEntry, TensorEntry

MANIFEST = load_manifest(default_engines_dir())


class Fixed:
    """An engine that gives what it was told to."""

    def __init__(self, backend: str, **outputs) -> None:
        self.name, self.backend, self._outputs = "m", backend, outputs

    def run(self, inputs):
        return self._outputs


def entry(*parts: AgreementEntry) -> ModelEntry:
    tensor = TensorEntry(dtype="float32", shape=("batch", 4))
    return ModelEntry(
        name="m",
        file="m.onnx",
        sha256="0" * 64,
        task="mask-state",
        inputs={"x": tensor},
        outputs={"y": tensor},
        agreement={"y": parts} if parts else {},
        preprocessing="",
        licence="",
        training_data="",
        card="",
    )


def ratio(expected, given, *parts) -> float:
    cpu, gpu = (
        Fixed("onnxruntime", y=np.array([expected], np.float32)),
        Fixed("tensorrt", y=np.array([given], np.float32)),
    )
    return max(part.difference for part in compare_engines(entry(*parts), cpu, gpu, [{}]))


PROBABILITY = AgreementEntry(unit="probability")
LOGIT = AgreementEntry(unit="logit")
PIXELS = AgreementEntry(unit="pixels", scale=8)
SURE = AgreementEntry(unit="pixels", scale=8, channels=(1, 4), sure=0)
DEGREES = AgreementEntry(unit="degrees")
RADIANS = AgreementEntry(unit="degrees", scale=57.3)


@pytest.mark.parametrize(
    ("expected", "given", "part", "allowed"),
    [
        ([0.5, 0, 0, 0], [0.5049, 0, 0, 0], PROBABILITY, True),
        ([0.5, 0, 0, 0], [0.5051, 0, 0, 0], PROBABILITY, False),
        ([1, 0, 0, 0], [1.0374, 0, 0, 0], PIXELS, True),  # 0.3 px are 0.0375 strides of 8
        ([1, 0, 0, 0], [1.0376, 0, 0, 0], PIXELS, False),
        ([100, 0, 0, 0], [100.4, 0, 0, 0], PIXELS, True),  # a length of 800 px may be 4 px longer
        ([100, 0, 0, 0], [100.6, 0, 0, 0], PIXELS, False),
        ([0.9, 5, 0, 0], [0.9, 6, 0, 0], SURE, False),
        ([0.1, 5, 0, 0], [0.1, 6, 0, 0], SURE, True),  # no face there: the box means nothing
        ([0.9, 0, 0, 0], [0.4, 0, 0, 0], SURE, True),  # the score has a part of its own
        ([0, 0, 0, 0], [0.0199, 0, 0, 0], LOGIT, True),
        ([0, 0, 0, 0], [0.0201, 0, 0, 0], LOGIT, False),
        ([-9, 0, 0, 0], [-8, 0, 0, 0], LOGIT, True),  # no face, and no face
        ([30, 0, 0, 0], [30.29, 0, 0, 0], DEGREES, True),
        ([30, 0, 0, 0], [30.31, 0, 0, 0], DEGREES, False),
        ([1, 0, 0, 0], [1, 0.0052, 0, 0], RADIANS, True),
        ([1, 0, 0, 0], [1, 0.0053, 0, 0], RADIANS, False),
        ([np.nan, 0, 0, 0], [0, 0, 0, 0], PROBABILITY, False),
        ([0.5, 0, 0, 0], [np.nan, 0, 0, 0], PROBABILITY, False),
        ([0.5, 0, 0, 0], [np.inf, 0, 0, 0], PROBABILITY, False),
    ],
)
def test_differences_count_by_what_the_numbers_mean(expected, given, part, allowed):
    assert (ratio(expected, given, part) <= 1) == allowed


def test_what_the_manifest_does_not_explain_is_compared_with_its_range():
    assert ratio([200, 1, 0, 0], [200, 2.9, 0, 0]) <= 1
    assert ratio([200, 1, 0, 0], [200, 3.1, 0, 0]) > 1


def test_answers_of_another_shape_never_agree():
    assert ratio([0.5, 0, 0, 0], [0.5, 0, 0], PROBABILITY) == np.inf


def test_the_refusal_is_one_line_that_says_where_and_how_much():
    cpu, gpu = Fixed("onnxruntime", y=np.zeros((1, 4))), Fixed("tensorrt", y=np.full((1, 4), 0.05))
    expected = (
        r"m: tensorrt differs from onnxruntime in y \(probability\) by 10.0 times what is allowed; it is not used"
    )
    with pytest.raises(ModelError, match=expected):
        require_agreement(entry(PROBABILITY), cpu, gpu, [{}])
    assert [part.compared for part in require_agreement(entry(PROBABILITY), cpu, cpu, [{}, {}])] == [8]


@pytest.mark.parametrize("name", sorted(MANIFEST.entries))
def test_every_model_can_be_built_for_a_gpu_and_compared(name):
    """Sizes known only at run time have a profile, and the parts of an output that have a meaning do not overlap."""
    found = MANIFEST.entry(name)
    free = {key for key, tensor in found.inputs.items() if any(isinstance(size, str) for size in tensor.shape)}
    assert free <= found.profiles.keys()
    for output, parts in found.agreement.items():
        axis = found.outputs[output].shape
        ranges = sorted(part.channels or (0, axis[1] if len(axis) > 1 else 1) for part in parts)
        assert all(one[1] <= other[0] for one, other in pairwise(ranges))
        assert all(
            last <= size for (_, last), size in zip(ranges[-1:], axis[1:2], strict=False) if isinstance(size, int)
        )
