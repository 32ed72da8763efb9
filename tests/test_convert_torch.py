"""A user's PyTorch classifier is taken when it means what was said of it; what is not plainly its arrays is refused."""

# ruff: noqa: E402  Without PyTorch there is nothing to import.

import io
import tarfile
import zipfile

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from torch import nn

from convert.__main__ import main
from convert.classifiers.adopt import adopt, claim_of
from convert.classifiers.torch_architectures import ARCHITECTURES, TorchArchitecture
from convert.classifiers.torch_model import torch_classifier
from convert.torch_file import read_state_dict
from edged.analyse.mask import MaskClassifier
from edged.errors import Failed, UsageError
from edged.inference import OnnxEngine, load_manifest, open_engine
from edged.inference.half import to_half
from edged.types import Box, MaskState


class Tiny(nn.Module):
    """Judges by the mean colour: red is the first class, green the second, blue the third."""

    def __init__(self, outputs):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, outputs)

    def forward(self, planes):
        return self.fc(self.bn1(self.conv1(planes)).mean((2, 3)))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """A network that is exported in a second, under a name that the command knows."""
    monkeypatch.setitem(ARCHITECTURES, "mobilenet_v2", TorchArchitecture(Tiny, "fc", "our", 8))


def weights(outputs=3):
    network = Tiny(outputs)
    with torch.no_grad():
        network.conv1.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
        network.fc.weight.copy_(8 * torch.eye(3)[:outputs])
        network.fc.bias.zero_()
    return network.state_dict()


def saved(tmp_path, content, name="weights.pt", **options):
    torch.save(content, tmp_path / name, **options)
    return tmp_path / name


@pytest.fixture
def red_face(tmp_path):
    picture = np.zeros((120, 120, 3), np.uint8)
    picture[..., 2] = 200
    cv2.imwrite(str(tmp_path / "red.png"), picture)
    return tmp_path / "red.png"


def adopted(path, red_face, folder, name="mask", **other):
    said = {
        "classes": "correct,incorrect,none", "pixels": "0..1", "colours": "rgb", "logits": True, "golden": red_face,
        "golden_state": "correct", "golden_box": None, "licence": "mine", "training_data": 'the "red" set',
    }  # fmt: skip
    claim = claim_of(model=path, **(said | other))
    return adopt(claim, torch_classifier(path, "mobilenet_v2", 32), folder, name, replace=False)


def opened(path, name="mobilenet_v2", size=32):
    with torch_classifier(path, name, size) as model:
        return model


# What is taken


def test_a_state_dict_that_means_what_was_said_gets_an_entry_and_runs_in_the_product(tmp_path, red_face):
    options = [
        "--architecture", "mobilenet_v2", "--size", 32, "--classes", "correct, incorrect, none", "--pixels", "0..1",
        "--colours", "rgb", "--golden", red_face, "--golden-state", "correct", "--licence", "mine",
        "--training-data", 'the "red" set', "--engines", tmp_path / "mine",
    ]  # fmt: skip
    path = saved(tmp_path, weights())
    result = CliRunner().invoke(main, ["torch", str(path), *map(str, options)])
    assert result.exception is None, result.output
    manifest = load_manifest(tmp_path / "mine")
    entry = manifest.entry("mask")
    assert entry.training_data == 'the "red" set'
    assert float(entry.figures["golden_correct"]) > 0.9
    assert entry.profiles["faces"].max == (32, 112, 112, 3)
    assert entry.agreement["probabilities"][0].unit == "probability"
    assert "PyTorch state dict of mobilenet_v2" in (tmp_path / "mine" / "mask.md").read_text()
    halved = OnnxEngine("mask", to_half(manifest.verified_bytes("mask"), "mask"), 1)
    judge = MaskClassifier(open_engine(manifest, "mask", 1))
    picture = np.zeros((60, 200, 3), np.uint8)
    picture[:, :100, 2] = picture[:, 100:, 0] = 220
    red, blue = judge.judge(picture, [Box(10, 10, 50, 50), Box(130, 10, 170, 50)])
    assert red.state is MaskState.CORRECT
    assert blue.state is MaskState.NONE
    assert MaskClassifier(halved).judge(picture, [Box(10, 10, 50, 50)])[0].state is MaskState.CORRECT


@pytest.mark.parametrize("mistake", [{"colours": "bgr"}, {"classes": "none,incorrect,correct"}], ids=str)
def test_a_claim_that_the_golden_picture_gives_the_lie_writes_nothing(tmp_path, red_face, mistake):
    with pytest.raises(Failed, match="Nothing was written"):
        adopted(saved(tmp_path, weights()), red_face, tmp_path / "mine", **mistake)
    assert not (tmp_path / "mine").exists()


def test_two_classes_and_a_single_logit_are_understood(tmp_path, red_face):
    two = adopted(saved(tmp_path, weights(2)), red_face, tmp_path / "two", classes="correct,none")
    one = adopted(saved(tmp_path, weights(1)), red_face, tmp_path / "one", classes="none,correct")
    assert max(two.parity, one.parity) < 1e-4


PUBLISHED = {
    "resnet50": (25_557_032, 320, ["layer1.0.downsample.1.running_mean", "layer4.2.bn3.weight", "fc.bias"]),
    "mobilenet_v2": (3_504_872, 314, ["features.1.conv.0.1.weight", "features.17.conv.3.bias", "classifier.1.weight"]),
    "xception": (22_855_952, 276, ["block1.rep.0.conv1.weight", "block4.rep.8.bias", "block12.skipbn.bias"]),
}
"""Parameters, arrays and some of their names, with 1,000 classes, as torchvision and timm have them."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_named_networks_have_the_arrays_of_the_published_ones(monkeypatch, name):
    monkeypatch.undo()
    parameters, arrays, some = PUBLISHED[name]
    with torch.device("meta"):
        network = ARCHITECTURES[name].build(1000)
    assert sum(value.numel() for value in network.parameters()) == parameters
    assert len(network.state_dict()) == arrays
    assert {*some, f"{ARCHITECTURES[name].last}.weight"} <= network.state_dict().keys()


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v2", *(pytest.param(name, marks=pytest.mark.long) for name in PUBLISHED if name != "mobilenet_v2")],
)
def test_the_named_networks_answer_with_a_users_weights(tmp_path, monkeypatch, name):
    monkeypatch.undo()
    network = ARCHITECTURES[name].build(3).eval()
    model = opened(saved(tmp_path, network.state_dict()), name, 96)
    assert (model.outputs, model.height, model.channels_first) == (3, 96, True)
    picture = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(model.network.eval()(picture, training=False), network(picture))


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_named_networks_become_onnx(tmp_path, monkeypatch, red_face, name):
    monkeypatch.undo()
    network = ARCHITECTURES[name].build(3).eval()
    last = network.get_submodule(ARCHITECTURES[name].last)
    nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([5.0, 0, 0]))
    path = saved(tmp_path, network.state_dict())
    claim = claim_of(
        model=path, classes="correct,incorrect,none", pixels="torch", colours="rgb", logits=True, golden=red_face,
        golden_state="correct", golden_box=None, licence="mine", training_data="none",
    )  # fmt: skip
    assert adopt(claim, torch_classifier(path, name, 96), tmp_path / "mine", "mask", replace=False).parity < 1e-4


def prefixed(state):
    return {f"module.{name}": value for name, value in state.items()}


def behind_dropout(state):
    return {name.replace("fc.", "fc.1."): value for name, value in state.items()}


def as_cadene(state):
    return {name.replace("fc.", "last_linear."): value for name, value in state.items()}


def without_counters(state):
    return {name: value for name, value in state.items() if "num_batches" not in name}


def as_checkpoint(state):
    return {"epoch": 3, "state_dict": state, "optimizer": {"lr": [0.1]}}


def halved(state):
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


@pytest.mark.parametrize("change", [prefixed, behind_dropout, as_cadene, without_counters, as_checkpoint, halved])
def test_state_dicts_are_taken_as_people_save_them(tmp_path, change):
    plain, other = opened(saved(tmp_path, weights())), opened(saved(tmp_path, change(weights()), "other.pt"))
    picture = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(other.network.eval()(picture), plain.network.eval()(picture))


def test_files_of_old_versions_of_pytorch_are_taken(tmp_path):
    path = saved(tmp_path, weights(), _use_new_zipfile_serialization=False)
    assert read_state_dict(path).keys() == weights().keys()


# What is refused


def refused(path, match, name="mobilenet_v2", size=32):
    with pytest.raises(UsageError, match=match) as caught:
        opened(path, name, size)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a whole model was unpickled",))


@pytest.mark.parametrize("content", [Tiny(3), Trap(), {"state_dict": weights(), "extra": Trap()}], ids=type)
@pytest.mark.parametrize("modern", [True, False])
def test_pickled_models_are_refused_unread(tmp_path, content, modern):
    path = saved(tmp_path, content, _use_new_zipfile_serialization=modern)
    refused(path, r"a pickled \S+ is a program, not data; save model\.state_dict\(\)")


@pytest.mark.parametrize(
    "content", [[torch.zeros(3)], {}, {"epoch": 3}, {"state_dict": {}}, {"a": 1, "b": torch.zeros(2)}, 7]
)
def test_other_things_than_a_state_dict_are_refused(tmp_path, content):
    refused(saved(tmp_path, content), "not a state dict of tensors and nothing else")


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("modern", [True, False])
def test_a_truncated_file_is_refused(tmp_path, part, modern):
    path = saved(tmp_path, weights(), _use_new_zipfile_serialization=modern)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    refused(path, "not a (whole file|state dict)")


def test_a_damaged_file_is_refused_or_was_not_damaged_where_it_matters(tmp_path):
    path = saved(tmp_path, weights())
    whole, expected = path.read_bytes(), read_state_dict(path)
    rng = np.random.default_rng(0)
    outcomes = []
    for place in rng.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            state = read_state_dict(path)
        except UsageError as error:
            outcomes.append(str(error))
        else:
            assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert len(outcomes) > 50
    assert not any("\n" in line for line in outcomes)


@pytest.mark.parametrize(
    "member", ["../evil", "/etc/cron.d/evil", "archive/../../evil", "archive\\..\\evil", "C:\\evil", "archive/a\nb"]
)
def test_archives_whose_members_climb_out_are_refused(tmp_path, member):
    path = saved(tmp_path, weights())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, b"x")
    refused(path, "would lie outside the archive")
    assert not (tmp_path.parent / "evil").exists()


def test_tar_archives_are_refused(tmp_path):
    """PyTorch's oldest format; read by versions before 2.6, it ran what it hid (CVE-2025-32434)."""
    path = tmp_path / "weights.pt"
    with tarfile.open(path, "w") as archive:
        for name in ("../evil", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    refused(path, "no file of torch.save")
    assert not (tmp_path.parent / "evil").exists()


def test_programs_packed_members_and_other_archives_are_refused(tmp_path):
    path = saved(tmp_path, weights())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def archive_of(contents, how=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", how) as archive:
            for name, data in contents.items():
                archive.writestr(name, data)
        return path

    refused(archive_of(members | {"weights/code/__torch__.py": b"", "weights/constants.pkl": b""}), "TorchScript")
    refused(archive_of(members, zipfile.ZIP_DEFLATED), "packed")
    refused(archive_of({"readme.txt": b"hello"}), "an archive of other things")
    refused(archive_of(members | {"other/data.pkl": b""}), "an archive of other things")


def test_arrays_that_are_none_are_refused(tmp_path):
    def with_last(value):
        return saved(tmp_path, weights() | {"fc.bias": value})

    refused(with_last(torch.tensor([1.0, float("nan"), 0])), r"'fc\.bias' holds numbers that are not finite")
    refused(with_last(torch.eye(3).to_sparse()), "no plain array")
    refused(with_last(torch.zeros(3, dtype=torch.complex64)), "no plain array")
    refused(with_last(torch.zeros(1).expand(1 << 40)), "larger than a model's may be")


def test_files_that_are_too_large_or_not_there_are_refused(tmp_path):
    with pytest.raises(UsageError, match="too large"):
        read_state_dict(saved(tmp_path, weights()), most_bytes=1000)
    refused(tmp_path / "missing.pt", r"missing\.pt: cannot be read \(No such file")
    refused(tmp_path, "cannot be read")
    (tmp_path / "text.pt").write_text("no model")
    refused(tmp_path / "text.pt", "no file of torch.save")


def test_wrong_arrays_are_counted_and_named(tmp_path):
    state = weights()
    state["conv9.weight"] = state.pop("conv1.weight")
    state["bn1.weight"] = torch.zeros(5)
    refused(
        saved(tmp_path, state),
        r"not a state dict of mobilenet_v2 with our names, of 8 arrays: 1 arrays missing \(conv1\.weight\); "
        r"1 unknown \(conv9\.weight\); 1 of another shape \(bn1\.weight is 5 and not 3\)",
    )
    several = {name: value for name, value in weights().items() if not name.startswith("bn1")}
    refused(saved(tmp_path, several), r"4 arrays missing \(bn1\.weight, bn1\.bias, bn1\.running_mean, …\)")


def test_weights_of_another_network_are_refused(tmp_path):
    with torch.device("meta"):
        names = ARCHITECTURES["resnet50"].build(3).state_dict()
    other = {name: torch.zeros(1) for name in names if not name.startswith("fc")}
    refused(saved(tmp_path, other), r"it has no last layer 'fc' of one matrix; of its 318 arrays the first are conv1\.")
    refused(saved(tmp_path, weights()), r"260 arrays missing .*6 of another shape", name="resnet50")


def test_another_number_of_classes_is_refused(tmp_path, red_face):
    path = saved(tmp_path, {**weights(), "fc.weight": torch.zeros(1000, 3), "fc.bias": torch.zeros(1000)})
    with pytest.raises(UsageError, match=r"gives 1000 numbers, which does not fit 3 classes"):
        adopted(path, red_face, tmp_path / "mine")
    with pytest.raises(UsageError, match=r"gives 3 numbers, which does not fit 2 classes"):
        adopted(saved(tmp_path, weights()), red_face, tmp_path / "mine", classes="correct,none")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("size", [7, 513, -1])
def test_a_size_that_makes_no_sense_is_refused(tmp_path, size):
    refused(saved(tmp_path, weights()), r"--size .*takes pictures of 8 to 512 pixels", size=size)
