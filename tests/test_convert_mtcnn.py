"""MTCNN's graphs compute what the package's layers compute, and only checked weights are ever read."""

import pickle
import shutil
import subprocess
import zipfile

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from click.testing import CliRunner

from convert import mtcnn as conversion
from convert.__main__ import main
from edged.errors import Failed, Unavailable, UsageError
from edged.inference import default_engines_dir, load_manifest

CONVOLUTIONS = {
    "pnet": [(3, 3, 10), (3, 10, 16), (3, 16, 32)],
    "rnet": [(3, 3, 28), (3, 28, 48), (2, 48, 64)],
    "onet": [(3, 3, 32), (3, 32, 64), (3, 64, 64), (2, 64, 128)],
}
DENSE = {"rnet": (576, 128), "onet": (1152, 256)}
HEADS = {"pnet": (4, 2), "rnet": (4, 2), "onet": (4, 10, 2)}


def random_weights(net, seed=4):
    """Arrays in the shapes and order of the package's files, large enough for every layer to matter."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    weights = []
    for size, inside, outside in CONVOLUTIONS[net]:
        weights += [draw(size, size, inside, outside), draw(outside), draw(1, 1, outside)]
    if net in DENSE:
        weights += [draw(*DENSE[net]), draw(DENSE[net][1]), draw(DENSE[net][1])]
    for count in HEADS[net]:
        kernel = draw(DENSE[net][1], count) if net in DENSE else draw(1, 1, 32, count)
        weights += [kernel, draw(count)]
    return weights


def slow_conv(x, kernel, bias):
    size = kernel.shape[0]
    rows, columns = x.shape[0] - size + 1, x.shape[1] - size + 1
    windows = [[x[r : r + size, c : c + size] for c in range(columns)] for r in range(rows)]
    return np.tensordot(np.array(windows), kernel, 3) + bias


def slow_prelu(x, slope):
    return np.where(x > 0, x, x * slope.ravel())


def slow_pool(x, size, *, same):
    count = [-(-side // 2) if same else (side - size) // 2 + 1 for side in x.shape[:2]]
    # Keras' "same" pads little and late: nothing at the start for these sizes.
    return np.array(
        [[x[2 * r : 2 * r + size, 2 * c : 2 * c + size].max((0, 1)) for c in range(count[1])] for r in range(count[0])]
    )


POOLS = {
    "pnet": {0: (2, True)},
    "rnet": {0: (3, True), 1: (3, False)},
    "onet": {0: (3, True), 1: (3, False), 2: (2, True)},
}


def slow_network(net, weights, rgb):
    """The package's layers, one after the other, for one height x width x RGB picture."""
    left = iter(np.asarray(array, float) for array in weights)
    x = (rgb.astype(float) - 127.5) / 128
    for layer in range(len(CONVOLUTIONS[net])):
        x = slow_prelu(slow_conv(x, next(left), next(left)), next(left))
        if layer in POOLS[net]:
            size, same = POOLS[net][layer]
            x = slow_pool(x, size, same=same)
    if net in DENSE:
        x = x.transpose(1, 0, 2).ravel()  # Permute((2, 1, 3)), Flatten
        x = slow_prelu(x @ next(left) + next(left), next(left))
    heads = [x @ next(left).reshape(x.shape[-1], -1) + next(left) for _ in HEADS[net]]
    classes = np.exp(heads[-1]) / np.exp(heads[-1]).sum(-1, keepdims=True)
    return [*heads[:-1], classes]


def run(model, pictures):
    session = ort.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"picture": pictures.astype(np.float32)}), strict=True))


def pictures(*shape):
    return np.random.default_rng(6).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("shape", [(12, 12), (13, 12), (31, 24), (24, 31)])
def test_pnet_is_the_packages_at_any_size(shape):
    weights, batch = random_weights("pnet"), pictures(2, *shape)
    found = run(conversion.build_pnet(weights), batch)
    for i, picture in enumerate(batch):
        offsets, classes = slow_network("pnet", weights, picture[..., ::-1])
        np.testing.assert_allclose(found["probabilities"][i], classes[..., 1], atol=1e-5)
        np.testing.assert_allclose(found["offsets"][i], offsets.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(("net", "size"), [("rnet", 24), ("onet", 48)])
@pytest.mark.parametrize("count", [1, 3])
def test_rnet_and_onet_are_the_packages_for_any_batch(net, size, count):
    weights, batch = random_weights(net), pictures(count, size, size)
    found = run(conversion.BUILDERS[net](weights), batch)
    for i, picture in enumerate(batch):
        offsets, *points, classes = slow_network(net, weights, picture[..., ::-1])
        np.testing.assert_allclose(found["probabilities"][i], classes[1], atol=1e-5)
        np.testing.assert_allclose(found["offsets"][i], offsets, atol=1e-5)
        if points:
            np.testing.assert_allclose(found["points"][i], points[0].reshape(2, 5).T, atol=1e-5)
    assert ("points" in found) == (net == "onet")


def test_sure_answers_are_exactly_0_or_1_not_nan():
    weights = random_weights("rnet")
    for other, face in ((1e4, -1e4), (-1e4, 1e4)):
        weights[-1] = np.array([other, face], np.float32)
        assert run(conversion.build_rnet(weights), pictures(1, 24, 24))["probabilities"].tolist() == [
            float(face > other)
        ]


@pytest.mark.parametrize("net", ["pnet", "rnet", "onet"])
def test_graphs_are_the_manifests_and_the_same_every_time(net):
    data = conversion.BUILDERS[net](random_weights(net))
    assert data == conversion.BUILDERS[net](random_weights(net))
    model = onnx.load_from_string(data)
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (8, 17, "edged")
    entry = load_manifest(default_engines_dir()).entry(f"mtcnn-{net}")
    for values, described in ((model.graph.input, entry.inputs), (model.graph.output, entry.outputs)):
        shapes = {v.name: tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        assert shapes == {name: tensor.shape for name, tensor in described.items()}
    assert sum(array.size for array in random_weights(net)) == entry.figures["parameters"]


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unchecked weights were unpickled",))


@pytest.fixture
def manifest():
    return load_manifest(default_engines_dir())


def test_altered_weights_are_refused_before_they_are_unpickled(tmp_path, manifest):
    wheel = tmp_path / "mtcnn-1.0.0-py3-none-any.whl"
    weights = tmp_path / "mtcnn" / "assets" / "weights"
    weights.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for net in ("pnet", "rnet", "onet"):
            (weights / f"{net}.lz4").write_bytes(pickle.dumps(Trap()))
            archive.writestr(f"mtcnn/assets/weights/{net}.lz4", pickle.dumps(Trap()))
    for source in ({"wheel": wheel}, {"package": tmp_path / "mtcnn"}):
        with pytest.raises(Failed, match=r"has sha256 .*, not .*; .*mtcnn==1\.0\.0"):
            conversion.write_networks(tmp_path / "engines", manifest, **source)
    assert not (tmp_path / "engines").exists()


def test_graphs_that_differ_from_the_manifest_are_not_written(tmp_path, manifest, monkeypatch):
    monkeypatch.setattr(conversion, "read_weights", lambda *_: {net: random_weights(net) for net in HEADS})
    with pytest.raises(Failed, match=r"mtcnn-pnet\.onnx: the graph built with onnx .* has sha256"):
        conversion.write_networks(tmp_path, manifest)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_done_when_all_is_there(tmp_path, manifest, monkeypatch):
    built = [manifest.directory / manifest.entry(f"mtcnn-{net}").file for net in HEADS]
    if not all(path.exists() for path in built):
        pytest.skip("MTCNN's networks are not built: run `make setup` or `python -m convert mtcnn`")
    for path in built:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(conversion, "read_weights", lambda *_: pytest.fail("weights were read"))
    assert conversion.write_networks(tmp_path, manifest) == []
    (tmp_path / "mtcnn-onet.onnx").write_bytes(b"half a mod")
    monkeypatch.setattr(conversion, "read_weights", lambda *_: (_ for _ in ()).throw(Unavailable("asked for weights")))
    with pytest.raises(Unavailable, match="asked for weights"):
        conversion.write_networks(tmp_path, manifest)


def test_without_a_package_index_the_error_names_the_way_out(tmp_path, manifest, monkeypatch):
    refused = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution found\n")
    monkeypatch.setattr(conversion.subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(Unavailable, match=r"No matching distribution found\); .*--wheel FILE"):
        conversion.write_networks(tmp_path, manifest)


def test_sources_that_make_no_sense_are_refused(tmp_path, manifest):
    with pytest.raises(UsageError, match="--wheel and --package"):
        conversion.write_networks(tmp_path, manifest, tmp_path / "a.whl", tmp_path)
    with pytest.raises(Unavailable, match=r"no\.whl: cannot be read"):
        conversion.write_networks(tmp_path, manifest, tmp_path / "no.whl")


def test_the_command_names_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "write_networks", lambda out, *_: [out / "mtcnn-pnet.onnx"])
    result = CliRunner().invoke(main, ["mtcnn", "--out", str(tmp_path)])
    assert result.exit_code == 0
    assert result.output == f"wrote {tmp_path / 'mtcnn-pnet.onnx'}\n"
