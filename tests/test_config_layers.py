"""Layers over the user's config: merged by key, left out where they spoil the whole, set aside where the daemon fails."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from edged.cli import cli
from edged.config import CameraConfig, Config, load_config, load_layered
from edged.config.change import MOST_STEPS, plan_change, plan_undo, steps, write
from edged.config.layers import MOST_LAYERS
from edged.config.output import OUTPUTS
from edged.config.section import Section
from edged.config.source import with_credentials
from edged.config.trial import Trial
from edged.errors import ConfigError

BASE = """
[store]
path = "{folder}/edged.db"

[camera.door]
source = "file:///a.mp4"
fps = 10

[mask]
enter_score = 0.8
"""


class Box:
    """A user's file, and the folder of the layers over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "config"
        self.folder.mkdir()
        self.file = folder / "edged.toml"
        self.file.write_text(BASE.format(folder=folder))
        self.console = self.folder / "console.toml"

    def layer(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    def change(self, read: str | None = None, **keys: object) -> tuple[str, ...]:
        plan = plan_change(self.file, {key.replace("__", "."): value for key, value in keys.items()}, read)
        write(plan)
        return plan.lines

    def start(self) -> Trial:
        trial = Trial(load_layered(self.file))
        trial.lines = trial.begin()  # type: ignore[attr-defined]
        return trial


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


# --- laid over each other


def test_layers_win_key_by_key_in_the_order_of_their_names_the_consoles_last(box: Box) -> None:
    box.layer("20-b.toml", "[camera.door]\nfps = 12\nrotation = 90\n[mask]\nleave_score = 0.5")
    box.layer("10-a.toml", "[camera.door]\nfps = 11\n[camera.yard]\nsource = 'file:///b.mp4'")
    box.layer("console.toml", "[camera.door]\nrotation = 180")
    box.layer("classroom.toml", "[camera.door]\nfps = 99")  # not the name of a layer
    config = load_config(box.file)
    door = config.camera["door"]
    assert (door.fps, door.rotation, door.source) == (12, 180, "file:///a.mp4")
    assert config.camera["yard"].source == "file:///b.mp4"
    assert (config.mask.enter_score, config.mask.leave_score) == (0.8, 0.5)


def test_a_layer_that_spoils_the_whole_is_left_out_with_one_line_and_the_rest_is_in_force(box: Box) -> None:
    wrong = {
        "10-value.toml": ("[mask]\nenter_score = 7\n[camera.door]\nfps = 1", "enter_score = 7"),
        "11-text.toml": ("[mask\n", "not valid TOML"),
        "12-key.toml": ("[camera.door]\nfsp = 5", "did you mean fps?"),
        "13-alone.toml": ("[camera.gate]\nfps = 5", "camera.gate.source: is missing"),
        "14-place.toml": ("[store]\npath = '/elsewhere/edged.db'", "belongs into the main file"),
        "15-kind.toml": ("[camera]\ndoor = 3", "must be a table"),
    }
    for name, (text, _) in wrong.items():
        box.layer(name, text)
    good = box.layer("20-good.toml", "[camera.door]\nrotation = 90")
    (box.folder / "16-folder.toml").mkdir()
    layered = load_layered(box.file)
    assert [layer.path for layer in layered.layers] == [good]
    assert (layered.config.camera["door"].fps, layered.config.camera["door"].rotation) == (10, 90)
    told = dict(zip([*wrong, "16-folder.toml"], layered.left_out, strict=True))
    for name, line in told.items():
        assert line.startswith(f"{box.folder / name}: ")
        assert "\n" not in line
        assert name == "16-folder.toml" or wrong[name][1] in line


def test_a_mistake_in_the_main_file_is_told_as_ever_whatever_the_layers_say(box: Box) -> None:
    box.file.write_text(box.file.read_text().replace("fps = 10", "fps = 1000"))
    box.layer("console.toml", "[camera.door]\nfps = 5")
    with pytest.raises(ConfigError, match=r"edged.toml: key camera.door.fps = 1000"):
        load_config(box.file)


def test_more_files_than_can_be_meant_are_left_out(box: Box) -> None:
    for number in range(MOST_LAYERS + 2):
        box.layer(f"{number:02d}-x.toml", f"[mask]\nleast_votes = {number + 1}")
    layered = load_layered(box.file)
    assert layered.config.mask.least_votes == MOST_LAYERS
    assert len(layered.left_out) == 2


def test_the_command_line_says_which_file_a_key_came_from_and_what_is_left_out(box: Box) -> None:
    box.layer("console.toml", "[camera.door]\nfps = 12")
    bad = box.layer("10-bad.toml", "[mask]\nleast_votes = 0")
    shown = CliRunner().invoke(cli, ["config", "show", "--origins", "--config", str(box.file)])
    assert f"camera.door.fps: {box.console}" in shown.stdout.splitlines()
    assert f"mask.enter_score: {box.file}" in shown.stdout.splitlines()
    whole = CliRunner().invoke(cli, ["config", "show", "--config", str(box.file)])
    assert json.loads(whole.stdout)["camera"]["door"]["fps"] == 12
    checked = CliRunner().invoke(cli, ["config", "check", "--config", str(box.file)])
    assert checked.exit_code == 0
    assert f"{box.file} with {box.console}: valid" in checked.stdout
    assert f"warning: {bad}: key mask.least_votes = 0" in checked.stderr


# --- changed, shown, taken back


def test_a_change_is_told_old_and_new_by_key_and_never_touches_the_users_file(box: Box) -> None:
    text = box.file.read_text()
    lines = box.change(camera__door__region=[0.1, 0, 1, 0.9], mask__enter_score=0.9, camera__door__fps=None)
    assert lines == (
        "mask.enter_score: 0.8 → 0.9",
        "camera.door.region: [0.0, 0.0, 1.0, 1.0] → [0.1, 0.0, 1.0, 0.9]",
    )
    assert box.file.read_text() == text
    config = load_config(box.file)
    assert (config.camera["door"].region, config.camera["door"].mask.enter_score) == ((0.1, 0, 1, 0.9), 0.9)
    assert box.console.stat().st_mode & 0o777 == 0o640
    assert box.change(mask__enter_score=None) == ("mask.enter_score: 0.9 → 0.8",)
    assert "mask" not in box.console.read_text()


def test_of_a_camera_that_comes_and_goes_only_what_is_its_own_is_told(box: Box) -> None:
    lines = box.change(
        camera__hall__source="v4l2:///dev/video1", camera__hall__rotation=180, camera__hall__mask__enter_score=0.9
    )
    assert lines == (
        'camera.hall.source: not set → "v4l2:///dev/video1"',
        "camera.hall.rotation: not set → 180",
        "camera.hall.mask.enter_score: not set → 0.9",
    )
    assert plan_undo(box.file).lines == (
        'camera.hall.source: "v4l2:///dev/video1" → not set',
        "camera.hall.rotation: 180 → not set",
        "camera.hall.mask.enter_score: 0.9 → not set",
    )


def test_changes_are_taken_back_one_by_one_down_to_the_users_own_settings(box: Box) -> None:
    for fps in (11, 12, 13):
        box.change(camera__door__fps=fps)
    for before, after in ((13, 12), (12, 11), (11, 10)):
        plan = plan_undo(box.file)
        assert plan.lines == (f"camera.door.fps: {before}.0 → {after}.0",)
        write(plan)
        assert load_config(box.file).camera["door"].fps == after
    assert not box.console.exists()
    with pytest.raises(ConfigError, match="no change to take back"):
        plan_undo(box.file)


def test_a_change_whose_writing_was_cut_off_is_no_step(box: Box) -> None:
    box.change(camera__door__fps=11)
    box.change(camera__door__fps=12)
    (box.folder / "history" / "000003.toml").write_bytes(box.console.read_bytes())
    write(plan_undo(box.file))
    assert load_config(box.file).camera["door"].fps == 11


def test_only_so_many_changes_are_kept(box: Box) -> None:
    for number in range(MOST_STEPS + 5):
        box.change(mask__least_votes=number + 1)
    kept = steps(load_config(box.file))
    assert len(kept) == MOST_STEPS
    assert kept[-1].name == f"{MOST_STEPS + 5:06d}.toml"
    write(plan_undo(box.file))
    assert load_config(box.file).mask.least_votes == MOST_STEPS + 4


@pytest.mark.parametrize("edited", ["main", "console", "another"])
def test_a_file_that_was_edited_meanwhile_stops_the_change(box: Box, edited: str) -> None:
    box.change(camera__door__fps=11)
    read = load_layered(box.file).sha256
    if edited == "main":
        box.file.write_text(box.file.read_text() + "\n# looked at\n")
    else:
        box.layer("console.toml" if edited == "console" else "10-tool.toml", "[camera.door]\nrotation = 90")
    before = box.console.read_text()
    with pytest.raises(ConfigError, match="changed by somebody else meanwhile"):
        box.change(read, camera__door__fps=12)
    assert box.console.read_text() == before
    box.change(load_layered(box.file).sha256, camera__door__fps=12)


def test_a_consoles_file_that_a_hand_has_spoilt_is_not_written_over(box: Box) -> None:
    box.layer("console.toml", "[camera.door]\nfps = lots")
    with pytest.raises(ConfigError, match="delete it"):
        box.change(camera__door__rotation=90)
    assert "lots" in box.console.read_text()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("camera.door.fps", 1000, "less than or equal to 120"),
        ("camera.door.region", [0, 0, 0, 0], "twentieth"),
        ("camera.door.mask.leave_score", 0.95, "must not be above"),
        ("report.timezone", "Madrid", "not an IANA time zone"),
        ("camera.a b.source", "csi://0", "letter or digit"),
        ("camera.door.source", "rtsp:/10.0.0.1", "the host is missing"),
        ("camera.door.source", "gst:filesrc location=/etc/shadow ! jpegdec", "can start any program"),
        ("camera.door.source", "file:///home/ada/film.mp4", "can be any file"),
        ("camera.door.source", "images:///home/ada/pictures?loop=1", "can be any file"),
        ("camera.door.source", "v4l2:///home/ada/film.mp4", "the console sets cameras only"),
        ("camera.door.source", "v4l2:///dev/video0/../../home/ada", "the console sets cameras only"),
        ("camera.door.source", "v4l2:///dev/v4l/by-id/%2e%2e/%2e%2e/mem", "the console sets cameras only"),
        ("camera", {}, "not set from the console"),
        ("fps", 3, "not set from the console"),
    ],
)
def test_what_is_wrong_or_not_the_consoles_to_set_is_refused_and_nothing_is_written(
    box: Box, key: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_change(box.file, {key: value})
    assert not box.console.exists()


PLACES = ("play", "device", "chip", "line", "to", "url", "host")
"""Texts that name a file, a sound card, a GPIO line or another machine."""


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the config, of a camera and an output of each kind, and what it may be."""
    for name, field in model.model_fields.items():
        inner = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        section = next((one for one in inner if issubclass(one, Section)), None)
        if name in ("camera", "output") and not prefix:
            for table in (CameraConfig,) if name == "camera" else OUTPUTS:
                yield from keys_of(table, f"{name}.door.")
        elif section:
            yield from keys_of(section, f"{prefix}{name}.")
        else:
            yield prefix + name, field.annotation


def test_no_key_that_names_a_place_is_the_consoles_to_set(box: Box) -> None:
    keys = dict(keys_of(Config))
    places = [key for key, kind in keys.items() if Path in (kind, *get_args(kind)) or key.split(".")[-1] in PLACES]
    expected = {"store.path", "console.key_file", "console.folder", "export.to", "export.sign_key_file", "mqtt.ca_file"}
    assert expected | {"output.door.play", "output.door.device", "camera.door.credentials_file"} <= set(places)
    for key in set(places) - {"mqtt.host"}:  # a broker: kept passwords do not go to another one
        with pytest.raises(ConfigError, match=f"{key}: is not set from the console"):
            plan_change(box.file, {key: "/etc/shadow"})


@pytest.mark.parametrize("source", ["csi://0", "picamera://1", "rtsp://10.0.0.1/1", "v4l2:///dev/video0?width=640&height=480",
                                    "v4l2:///dev/v4l/by-id/usb-046d_HD_Pro+Webcam_C920-video-index0"])  # fmt: skip
def test_every_kind_of_camera_is_the_consoles_to_set(box: Box, source: str) -> None:
    assert plan_change(box.file, {"camera.yard.source": source}).after.camera["yard"].source == source


KNOWN = """[camera.yard]
source = "rtsp://known/1"
credentials_file = "/etc/edged/yard"
"""


@pytest.mark.parametrize("source", ["rtsp://known?@evil/", "rtsp://known#@evil/", "rtsp://known/@evil", "rtsp://known\\@evil/",
                                    "rtsp://known:1@evil/1", "rtsp://evil/known", "rtsp://known.evil/1", "rtsp://known%40evil/1",
                                    "rtsp://known:1%40evil/1", "rtsps://known/1"])  # fmt: skip
def test_a_kept_password_goes_to_no_other_host(box: Box, source: str) -> None:
    """By whatever trick of an address, and whichever program reads it."""
    box.file.write_text(KNOWN)
    try:
        plan = plan_change(box.file, {"camera.yard.source": source})
    except ConfigError:
        return
    sent = with_credentials(plan.after.camera["yard"].source, "user:secret")
    assert re.split("[/?#]", sent.removeprefix("rtsp://"), maxsplit=1)[0] == "user:secret@known"


def test_a_password_in_a_source_is_not_repeated(box: Box) -> None:
    (line,) = plan_change(box.file, {"camera.door.source": "rtsp://me:secret@10.0.0.1/1"}).lines
    assert "secret" not in line


# --- with which the daemon starts


def test_a_layer_with_which_the_daemon_failed_twice_is_set_aside_and_the_last_good_one_comes_back(box: Box) -> None:
    box.change(camera__door__fps=11)
    box.start().passed()
    box.change(camera__door__fps=12)
    tool = box.layer("10-tool.toml", "[camera.door]\nrotation = 90")
    for _ in range(2):
        assert box.start().lines == []  # type: ignore[attr-defined]
    console, other = sorted(box.start().lines, key=lambda line: "10-tool" in line)  # type: ignore[attr-defined]
    assert str(box.console) in console
    assert "console.toml.refused, and the one before it is in force again" in console
    assert "10-tool.toml.refused, and the settings without it" in other
    door = load_config(box.file).camera["door"]
    assert (door.fps, door.rotation) == (11, 0)
    assert not tool.exists()
    assert not box.start().is_open, "what it came up with before is not doubted"


def test_layers_that_the_daemon_came_up_with_are_kept_however_often_it_fails_later(box: Box) -> None:
    box.change(camera__door__fps=11)
    box.start()
    box.start().passed()
    for _ in range(5):
        assert box.start().lines == []  # type: ignore[attr-defined]
    assert load_config(box.file).camera["door"].fps == 11


def test_without_layers_nothing_is_written(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.folder.rmdir()
    box.start().passed()
    assert not box.folder.exists()
