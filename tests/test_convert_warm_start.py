"""A training goes on from an exported model: batch norms that were folded away are measured anew."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from convert.onnx_file import Signature, write_onnx  # noqa: E402
from convert.training.warm_start import warm_start  # noqa: E402
from edged.errors import UsageError  # noqa: E402
from edged.inference import OnnxEngine  # noqa: E402


def network(width=6):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2, 1),
    )  # fmt: skip


@pytest.fixture
def pictures():
    return torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 3 - 1


@pytest.fixture
def exported(tmp_path, pictures):
    """A model whose norms have seen something, and its file."""
    torch.manual_seed(0)
    trained = network()
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    for _ in range(20):
        trained(pictures)
    path = tmp_path / "model.onnx"
    write_onnx(trained.eval(), pictures[:2], Signature({"x": {0: "batch"}}, {"y": {0: "batch"}}), path)
    return path


def test_it_answers_as_the_export_does_in_use_and_in_training(exported, pictures):
    fresh = network()
    warm_start(fresh, exported, pictures.split(16))
    expected = OnnxEngine("model", exported.read_bytes(), 1).run({"x": pictures.numpy()})["y"]
    with torch.no_grad():
        np.testing.assert_allclose(fresh.eval()(pictures).numpy(), expected, atol=1e-4)
        np.testing.assert_allclose(fresh.train()(pictures).numpy(), expected, atol=1e-3)


def test_an_export_of_another_network_is_refused(exported, pictures):
    with pytest.raises(UsageError, match="not an export of this network"):
        warm_start(network(width=8), exported, [pictures])


def test_a_file_that_is_no_model_is_one_line(tmp_path, pictures):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(UsageError, match="cannot be read"):
        warm_start(network(), path, [pictures])
