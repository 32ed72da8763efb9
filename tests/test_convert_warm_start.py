"""A training goes on from an exported model: batch norms that were folded away are measured anew."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from convert.detector.network import DetectorModel, DetectorNetwork  # noqa: E402
from convert.layers import BothViews, normalise  # noqa: E402
from convert.mask.network import MaskModel, MaskNetwork  # noqa: E402
from convert.onnx_file import Signature, write_onnx  # noqa: E402
from convert.rescorer.network import RescorerModel, RescorerNetwork  # noqa: E402
from convert.training.loop import Recipe  # noqa: E402
from convert.training.warm_start import START_RATE, gentler, warm_start  # noqa: E402
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


def experienced(trained, pictures):
    """The network, in use, after its norms have seen something."""
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        for _ in range(20):
            trained.train()(pictures)
    return trained.eval()


@pytest.fixture
def exported(tmp_path, pictures):
    """A model whose norms have seen something, and its file."""
    torch.manual_seed(0)
    trained = experienced(network(), pictures)
    path = tmp_path / "model.onnx"
    write_onnx(trained, pictures[:2], Signature({"x": {0: "batch"}}, {"y": {0: "batch"}}), path)
    return path


def test_it_answers_as_the_export_does_in_use_and_in_training(exported, pictures):
    fresh = network()
    warm_start(fresh, exported, pictures.split(16))
    expected = OnnxEngine("model", exported.read_bytes(), 1).run({"x": pictures.numpy()})["y"]
    with torch.no_grad():
        np.testing.assert_allclose(fresh.eval()(pictures).numpy(), expected, atol=1e-4)
        np.testing.assert_allclose(fresh.train()(pictures).numpy(), expected, atol=1e-3)


def test_a_wider_network_starts_with_the_answers_of_the_narrower_and_learns_with_all_its_channels(exported, pictures):
    wider = network(width=9)
    warm_start(wider, exported, pictures.split(16))
    expected = OnnxEngine("model", exported.read_bytes(), 1).run({"x": pictures.numpy()})["y"]
    with torch.no_grad():
        np.testing.assert_allclose(wider.eval()(pictures).numpy(), expected, atol=1e-4)
        np.testing.assert_allclose(wider.train()(pictures).numpy(), expected, atol=1e-3)
    wider(pictures).square().sum().backward()
    assert (wider[-1].weight.grad[:, 6:].abs().sum(dim=(0, 2, 3)) > 0).all()


def test_the_new_channels_of_a_wider_network_are_normalised_from_the_start(exported, pictures):
    wider = network(width=9)
    warm_start(wider, exported, pictures.split(16))
    assert {norm.momentum for norm in (wider[1], wider[4])} == {nn.BatchNorm2d(1).momentum}, "as before"
    with torch.no_grad():
        seen = [wider.eval()[:place](pictures)[:, 6:] for place in (2, 5)]
    for out in seen:
        np.testing.assert_allclose(out.mean(dim=(0, 2, 3)).numpy(), 0, atol=0.05)
        np.testing.assert_allclose(out.var(dim=(0, 2, 3)).numpy(), 1, rtol=0.1)


def of_other_kind(**changes):
    """`network`, but for one of its layers."""
    other = network()
    for number, layer in changes.items():
        other[int(number.removeprefix("layer"))] = layer
    return other


OTHERS = {
    "narrower": network(width=5),
    "one layer more": nn.Sequential(*network(), nn.ReLU(), nn.Conv2d(2, 2, 1)),
    "one layer less": network()[:-1],
    "more answers": of_other_kind(layer6=nn.Conv2d(6, 3, 1)),
    "larger filters": of_other_kind(layer0=nn.Conv2d(3, 6, 5, 2, 2, bias=False)),
    "all channels in place of each alone": of_other_kind(layer3=nn.Conv2d(6, 6, 3, 1, 1, bias=False)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_an_export_of_another_network_is_refused(exported, pictures, other):
    with pytest.raises(UsageError, match="not an export of this network"):
        warm_start(other, exported, [pictures])


def test_an_export_that_takes_other_pictures_is_refused(exported):
    coloured = of_other_kind(layer0=nn.Conv2d(4, 6, 3, 2, 1, bias=False))
    with pytest.raises(UsageError, match="not an export of this network"):
        warm_start(coloured, exported, [torch.rand(4, 4, 16, 16)])


def test_a_file_that_is_no_model_is_one_line(tmp_path, pictures):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(UsageError, match="cannot be read"):
        warm_start(network(), path, [pictures])


KINDS = {
    "mask": (MaskNetwork, lambda network: MaskModel(BothViews(network, 112), (0.3, -0.2, 0.1), 0.7), 112, False),
    "rescorer": (RescorerNetwork, lambda network: RescorerModel(network, 0.3, -0.6), 80, False),
    "detector": (DetectorNetwork, DetectorModel, 96, True),
}
"""How each network is built and exported, the side of its input, and whether it takes pixels as they are."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_our_networks_goes_on_from_its_own_export(tmp_path, kind):
    build, model_of, side, folded_pixels = KINDS[kind]
    torch.manual_seed(0)
    images = torch.randint(0, 256, (8, side, side, 3), dtype=torch.uint8)
    model = model_of(experienced(build(), normalise(images))).eval()
    path = tmp_path / "model.onnx"
    write_onnx(model, images[:2], Signature({"images": {0: "batch"}}, {}), path)
    fresh = build()
    warm_start(fresh, path, normalise(images).split(4), folded_pixels=folded_pixels)
    with torch.no_grad():
        expected, answer = model(images), model_of(fresh.eval()).eval()(images)
    for want, got in zip(expected, answer, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-3, atol=2e-3)


def test_a_training_that_goes_on_learns_more_gently(tmp_path):
    recipe = Recipe(batch=8, peak_rate=0.01, warm_up=3, weight_decay=0.1)
    assert gentler(recipe, None) == recipe
    assert gentler(recipe, tmp_path / "model.onnx").peak_rate == 0.01 * START_RATE
