"""RetinaFace's graph computes what its layers compute, and only a state dict of exactly this network is taken."""

import hashlib

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from convert import retinaface as conversion
from convert.__main__ import main
from edged.errors import Failed, UsageError
from edged.inference import default_engines_dir, load_manifest

BACKBONE = {
    "body.stage1": [(3, 8), (8, 16), (16, 32), (32, 32), (32, 64), (64, 64)],
    "body.stage2": [(64, 128)] + [(128, 128)] * 5,
    "body.stage3": [(128, 256), (256, 256)],
}
STRIDES = {"body.stage1": (2, 1, 2, 1, 2, 1), "body.stage2": (2, 1, 1, 1, 1, 1), "body.stage3": (2, 1)}
CONTEXT = {
    "conv3X3": (64, 32),
    "conv5X5_1": (64, 16),
    "conv5X5_2": (16, 16),
    "conv7X7_2": (16, 16),
    "conv7x7_3": (16, 16),
}
HEADS = {"ClassHead": 2, "BboxHead": 4, "LandmarkHead": 10}


def convolutions():
    """Name, name of the normalisation, channels in (of one group) and out, and size of every convolution but the heads'."""
    for stage, layers in BACKBONE.items():
        for i, (inside, outside) in enumerate(layers):
            name = f"{stage}.{i}"
            yield f"{name}.0", f"{name}.1", 3 if inside == 3 else 1, 8 if inside == 3 else inside, 3
            if inside != 3:
                yield f"{name}.3", f"{name}.4", inside, outside, 1
    for k, inside in enumerate((64, 128, 256), 1):
        yield f"fpn.output{k}.0", f"fpn.output{k}.1", inside, 64, 1
        for name, (into, outside) in CONTEXT.items():
            yield f"ssh{k}.{name}.0", f"ssh{k}.{name}.1", into, outside, 3
    for k in (1, 2):
        yield f"fpn.merge{k}.0", f"fpn.merge{k}.1", 64, 64, 3


def random_weights(seed=3):
    """Arrays under the names and in the shapes of the published file, large enough for every layer to matter."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, norm, inside, outside, size in convolutions():
        kernel = rng.normal(size=(outside, inside, size, size)) * np.sqrt(2 / (inside * size * size))
        weights[f"{name}.weight"] = kernel.astype(np.float32)
        for part, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2)):
            weights[f"{norm}.{part}"] = rng.uniform(low, high, outside).astype(np.float32)
        weights[f"{norm}.running_var"] = rng.uniform(0.5, 1.5, outside).astype(np.float32)
        weights[f"{norm}.num_batches_tracked"] = np.array(7)
    for head, count in HEADS.items():
        for k in range(3):
            weights[f"{head}.{k}.conv1x1.weight"] = rng.normal(0, 0.1, (2 * count, 64, 1, 1)).astype(np.float32)
            weights[f"{head}.{k}.conv1x1.bias"] = rng.normal(0, 0.1, 2 * count).astype(np.float32)
    return weights


def reference(torch, weights, pictures):
    """The published layers one after the other, in PyTorch; per stride: classes, boxes, points."""
    f = torch.nn.functional
    w = {name: torch.from_numpy(np.asarray(value)) for name, value in weights.items()}

    def layer(x, name, norm, stride=1, groups=1, active=True):
        kernel = w[f"{name}.weight"]
        x = f.conv2d(x, kernel, None, stride, kernel.shape[-1] // 2, 1, groups)
        parts = (w[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = f.batch_norm(x, *parts, training=False, eps=1e-5)
        return f.relu(x) if active else x

    x = torch.from_numpy(pictures.astype(np.float32) - np.array([104, 117, 123], np.float32)).permute(0, 3, 1, 2)
    maps = []
    for stage, strides in STRIDES.items():
        for i, stride in enumerate(strides):
            name = f"{stage}.{i}"
            x = layer(x, f"{name}.0", f"{name}.1", stride, 1 if x.shape[1] == 3 else x.shape[1])
            x = layer(x, f"{name}.3", f"{name}.4") if f"{name}.3.weight" in w else x
        maps.append(x)
    fine, middle, coarse = (layer(m, f"fpn.output{k}.0", f"fpn.output{k}.1") for k, m in enumerate(maps, 1))
    middle = layer(middle + f.interpolate(coarse, size=middle.shape[2:]), "fpn.merge2.0", "fpn.merge2.1")
    fine = layer(fine + f.interpolate(middle, size=fine.shape[2:]), "fpn.merge1.0", "fpn.merge1.1")
    found = []
    for k, level in enumerate((fine, middle, coarse), 1):

        def part(x, name, active=False, k=k):
            return layer(x, f"ssh{k}.{name}.0", f"ssh{k}.{name}.1", active=active)

        half = part(level, "conv5X5_1", active=True)
        seven = part(part(half, "conv7X7_2", active=True), "conv7x7_3")
        joined = f.relu(torch.cat([part(level, "conv3X3"), part(half, "conv5X5_2"), seven], 1))
        names = (f"{head}.{k - 1}.conv1x1" for head in HEADS)
        found.append([f.conv2d(joined, w[f"{n}.weight"], w[f"{n}.bias"]).numpy() for n in names])
    return found


def run(model, pictures):
    session = ort.InferenceSession(model)
    return session.run([f"stride{s}" for s in (8, 16, 32)], {"image": pictures})


def pictures(*shape):
    return np.random.default_rng(6).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("shape", [(1, 32, 32), (2, 64, 96)])
def test_the_graph_computes_the_published_layers(shape):
    torch = pytest.importorskip("torch")
    weights, batch = random_weights(), pictures(*shape)
    expected = reference(torch, weights, batch)
    for level, (classes, boxes, points) in zip(run(conversion.build(weights), batch), expected, strict=True):
        of_anchor = level.reshape(len(batch), 2, 15, *level.shape[2:])
        scale = np.abs(level).max()
        for found, wanted in (
            (of_anchor[:, :, 0], classes[:, 1::2] - classes[:, ::2]),
            (of_anchor[:, :, 1:5], boxes.reshape(of_anchor[:, :, 1:5].shape)),
            (of_anchor[:, :, 5:], points.reshape(of_anchor[:, :, 5:].shape)),
        ):
            np.testing.assert_allclose(found, wanted, atol=1e-4 * scale)


def test_the_members_of_a_batch_do_not_know_each_other():
    model, batch = conversion.build(random_weights()), pictures(3, 64, 32)
    for together, alone in zip(run(model, batch), run(model, batch[1:2]), strict=True):
        np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-3)


def test_the_graph_is_the_manifests_and_the_same_every_time():
    weights = random_weights()
    data = conversion.build(weights)
    assert data == conversion.build(dict(reversed(weights.items())))
    model = onnx.load_from_string(data)
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (8, 17, "edged")
    entry = load_manifest(default_engines_dir()).entry("retinaface")
    for values, described in ((model.graph.input, entry.inputs), (model.graph.output, entry.outputs)):
        shapes = {v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        assert shapes == {name: tensor.shape for name, tensor in described.items()}
    trained = {name: value for name, value in weights.items() if "running" not in name and "batches" not in name}
    assert sum(value.size for value in trained.values()) == entry.figures["parameters"]


def test_arrays_missing_misshapen_or_too_many_are_refused_by_name():
    weights = random_weights()
    missing = {name: value for name, value in weights.items() if name != "fpn.merge1.1.bias"}
    with pytest.raises(UsageError, match=r"w\.pth: has no 'fpn\.merge1\.1\.bias'"):
        conversion.build(missing, "w.pth")
    with pytest.raises(UsageError, match=r"'ClassHead\.0\.conv1x1\.weight' is float32 \(6, 64, 1, 1\), not"):
        conversion.build(weights | {"ClassHead.0.conv1x1.weight": np.zeros((6, 64, 1, 1), np.float32)})
    with pytest.raises(UsageError, match=r"is float64"):
        conversion.build(weights | {"fpn.merge1.1.bias": np.zeros(64)})
    with pytest.raises(UsageError, match=r"has 1 arrays too many, as 'fc\.weight'"):
        conversion.build(weights | {"fc.weight": np.zeros((10, 256), np.float32)})


@pytest.fixture
def manifest():
    return load_manifest(default_engines_dir())


@pytest.fixture
def weights_file(tmp_path):
    """A state dict of random weights as a file, saved as data-parallel training saves it."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "weights.pth"
    torch.save({f"module.{name}": torch.from_numpy(np.asarray(v)) for name, v in random_weights().items()}, path)
    return path


def test_a_file_is_read_without_its_prefix(weights_file):
    found, expected = conversion.read_weights(weights_file), random_weights()
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_other_weights_are_not_written(tmp_path, weights_file, manifest):
    with pytest.raises(Failed, match=r"retinaface\.onnx: the graph has sha256 .*, not .*known file"):
        conversion.write_network(weights_file, tmp_path / "engines", manifest)
    assert not (tmp_path / "engines").exists()


def test_weights_that_the_manifest_names_are_written(tmp_path, weights_file, manifest):
    sha256 = hashlib.sha256(conversion.build(random_weights())).hexdigest()
    manifest.entries["retinaface"] = manifest.entry("retinaface").model_copy(update={"sha256": sha256})
    written = conversion.write_network(weights_file, tmp_path / "engines", manifest)
    assert hashlib.sha256(written.read_bytes()).hexdigest() == sha256
    assert list(written.parent.iterdir()) == [written]


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a whole model was unpickled",))


def test_pickled_models_and_other_files_are_refused_unread(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"model": Trap()}, tmp_path / "trap.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "checkpoint.pth")
    (tmp_path / "text.pth").write_text("not weights at all")
    for name in ("trap", "list", "checkpoint", "text"):
        with pytest.raises(UsageError, match=rf"{name}\.pth: not a state dict of tensors") as caught:
            conversion.read_weights(tmp_path / f"{name}.pth")
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=r"no\.pth: cannot be read"):
        conversion.read_weights(tmp_path / "no.pth")
    (tmp_path / "large.pth").write_bytes(b"")
    with (tmp_path / "large.pth").open("r+b") as file:
        file.truncate(conversion.MAX_WEIGHTS_BYTES + 1)
    with pytest.raises(UsageError, match="too large"):
        conversion.read_weights(tmp_path / "large.pth")


def test_the_command_names_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "write_network", lambda weights, out, _: out / weights.with_suffix(".onnx").name)
    result = CliRunner().invoke(main, ["retinaface", "w.pth", "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output == f"wrote {tmp_path / 'w.onnx'}\n"
