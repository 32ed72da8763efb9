"""The golden pictures as they ship: whole, told from altered ones, enough for every model, and made again the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.commands.golden import golden
from edged.config import ModelsConfig
from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest
from edged.selftest.golden import FOLDER, MOST_BATCHES, TABLE, golden_inputs, golden_pictures, golden_table
from edged.toml import load_toml
from edged.types import MaskState

SHIPPED = default_engines_dir() / FOLDER
MANIFEST = load_manifest(default_engines_dir())
BUILT = [name for name, entry in MANIFEST.entries.items() if (MANIFEST.directory / entry.file).exists()]
MOST_BYTES = 400_000


@pytest.fixture
def folder(tmp_path):
    """A copy that may be spoilt."""
    return Path(shutil.copytree(SHIPPED, tmp_path / FOLDER))


def test_every_way_of_wearing_a_mask_is_shown_large_small_and_turned():
    pictures = golden_pictures()
    faces = [face for picture in pictures for face in picture.faces]
    assert {face.state for face in faces} == {MaskState.CORRECT, MaskState.INCORRECT, MaskState.NONE}
    assert {face.eyes for face in faces} == {"open", "small"}
    assert max(len(picture.faces) for picture in pictures) == 5
    assert max(abs(face.poses["edged"].roll) for face in faces) > 25
    for picture in pictures:
        height, width = picture.image.shape[:2]
        for face in picture.faces:
            assert 0 < face.detection.box.x1 < face.detection.box.x2 < width
            assert 0 < face.detection.box.y1 < face.detection.box.y2 < height


def test_they_are_small_and_say_where_they_are_from():
    files = sorted(SHIPPED.iterdir())
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
    table = golden_table(SHIPPED)
    assert {file.name for file in files} == {TABLE, *(entry.file for entry in table.picture.values())}
    assert "NASA" in table.source
    assert "public domain" in table.licence


def test_the_wheel_takes_them_along():
    project = load_toml(Path(__file__).parents[1] / "pyproject.toml")
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]["engines"] == "edged/engines"
    assert SHIPPED.parent.name == "engines"


@pytest.mark.parametrize("spoil", ["flip", "cut", "remove"])
def test_a_picture_that_was_altered_is_told(folder, spoil):
    file = folder / "crowd.jpg"
    data = bytearray(file.read_bytes())
    if spoil == "remove":
        file.unlink()
    else:
        data[-100] ^= 1
        file.write_bytes(data if spoil == "flip" else data[:-1])
    with pytest.raises(ModelError, match=r"crowd\.jpg: .*reinstall edged") as caught:
        golden_pictures(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[picture.bare]", "[picture"),
        ('state = "none"', 'state = "perhaps"'),
        ("pose.heatmap", "pose.other"),
        ("deviations = [", "deviations = [nan, "),
        ('file = "bare.jpg"', 'file = "../bare.jpg"'),
    ],
)
def test_a_table_that_is_none_is_told_in_one_line(folder, old, new):
    path = folder / TABLE
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ModelError, match=r"golden\.toml: not a table of golden pictures .*reinstall edged") as caught:
        golden_pictures(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_table_names_the_remedy(tmp_path):
    with pytest.raises(ModelError, match=r"golden\.toml: cannot be read .*reinstall edged"):
        golden_pictures(tmp_path)


@pytest.mark.parametrize("name", BUILT)
def test_each_model_is_given_a_few_batches_that_fit_it(name):
    batches = golden_inputs([name], ModelsConfig())[name]
    entry = MANIFEST.entry(name)
    assert 1 <= len(batches) <= MOST_BATCHES
    for batch in batches:
        assert batch.keys() == entry.inputs.keys()
        for key, array in batch.items():
            wanted = entry.inputs[key]
            assert array.dtype == wanted.dtype
            assert (np.array(entry.profiles[key].min) <= array.shape).all()
            assert (np.array(entry.profiles[key].max) >= array.shape).all()
            assert all(
                isinstance(size, str) or size == own for size, own in zip(wanted.shape, array.shape, strict=True)
            )
    shapes = {tuple(array.shape for array in batch.values()) for batch in batches}
    assert len(shapes) > 1 or name == "eyes", "a batch of one and one of many, or pictures of several sizes"


def test_the_batches_are_copies_of_what_the_stages_use_again():
    batches = golden_inputs(["mask"], ModelsConfig())["mask"]
    assert len({batch["faces"].tobytes() for batch in batches}) == len(batches)


def test_the_detector_sees_the_size_that_the_config_asks_for():
    small, usual = (golden_inputs(["detector"], ModelsConfig(smallest_face=side)) for side in (60, 24))
    assert small["detector"][0]["image"].shape < usual["detector"][0]["image"].shape


def test_a_model_that_no_stage_runs_is_refused():
    with pytest.raises(ModelError, match="model stranger: no stage"):
        golden_inputs(["mask", "stranger"], ModelsConfig())


def test_the_command_makes_the_same_pictures_and_finds_what_is_written_down(tmp_path):
    pytest.importorskip("skimage", reason="the portrait comes with scikit-image")
    done = CliRunner().invoke(golden, ["--engines", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for made, shipped in zip(golden_pictures(tmp_path / FOLDER), golden_pictures(), strict=True):
        assert made.name == shipped.name
        assert np.abs(made.image.astype(int) - shipped.image).mean() < 1, "but for the JPEG of another OpenCV"
        for one, other in zip(made.faces, shipped.faces, strict=True):
            assert (one.state, one.eyes) == (other.state, other.eyes)
            assert np.allclose(one.detection.box, other.detection.box, atol=1.0)
            assert np.allclose(one.landmarks.points, other.landmarks.points, atol=1.0)
