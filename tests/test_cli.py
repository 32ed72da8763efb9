"""The command line, by running it: exit codes, messages, and that every verb is documented."""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import cv2
import jsonschema_rs
import numpy as np
import pytest
from click.testing import CliRunner
from support.doubles import BARE, ConstantJudge, ScriptedDetector
from support.payloads import check_lines

from edged.assembly import Models
from edged.cli import VERBS, cli
from edged.cli.events import parse_since
from edged.config import ModelsConfig
from edged.messages import TOPICS
from edged.readers import DetectionLimits
from edged.schemas import LINES, NAMES
from edged.store import Store

ROOT = Path(__file__).parents[1]


def edged(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "edged", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    if arguments[0] in LINES and ("--json" in arguments or "json" in arguments) and "--out" not in arguments:
        check_lines(str(arguments[0]), done.stdout)
    return done


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("edged: ")
    return lines[0]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edged.toml"
    path.write_text(
        f'[device]\nid = "test"\n[camera.door]\nsource = "file://{tmp_path}/none.mp4"\n'
        f'[store]\npath = "{tmp_path}/edged.db"\n'
    )
    return path


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("pictures") / "portrait.png"
    cv2.imwrite(str(path), data.astronaut()[..., ::-1])
    return path


def test_every_verb_is_documented_and_has_help() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    for verb in VERBS:
        assert f"`edged {verb}" in page, verb
        done = CliRunner().invoke(cli, [verb, "--help"])
        assert done.exit_code == 0
        assert done.stdout.startswith("Usage: ")
    assert edged(next(iter(VERBS)), "--help").stdout.startswith("Usage: "), "nor does the program itself fall"


def test_the_list_of_verbs_says_what_each_verb_s_own_help_begins_with() -> None:
    context = click.Context(cli)
    for name, verb in VERBS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert verb.help == command.get_short_help_str(limit=1000), name


@pytest.mark.parametrize(
    "asked",
    [
        {"sys.argv": ["edged", "--help"]},
        {"_EDGED_COMPLETE": "zsh_complete", "COMP_WORDS": "edged ", "COMP_CWORD": "1"},
        {"_EDGED_COMPLETE": "bash_complete", "COMP_WORDS": "edged s", "COMP_CWORD": "1"},
        {"_EDGED_COMPLETE": "fish_complete", "COMP_WORDS": "edged --", "COMP_CWORD": "--"},
    ],
    ids=["help", "zsh", "bash", "fish"],
)
def test_help_and_completion_wait_for_no_verb_s_libraries(asked: dict[str, Any]) -> None:
    arguments = asked.pop("sys.argv", ["edged"])
    program = (
        f"import sys, edged.cli; sys.argv = {arguments!r}\n"
        "try: edged.cli.main()\n"
        "finally: print([name for name in sys.modules if name.startswith('edged.cli.')], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env={**os.environ, **asked}
    )
    assert ("status" if asked.get("COMP_CWORD") != "--" else "--version") in done.stdout
    assert done.stderr.strip() == "['edged.cli.streams']"


def test_wrong_usage_is_exit_code_2() -> None:
    assert edged("nonsense").returncode == 2
    assert edged("analyze").returncode == 2
    assert edged("analyze", "/does/not/exist.jpg").returncode == 2


def test_a_config_that_is_not_there_is_exit_code_78_and_one_line(tmp_path: Path) -> None:
    done = edged("config", "check", "--config", tmp_path / "none.toml")
    assert done.returncode == 78
    assert "none.toml" in one_line(done)


def test_a_typo_in_the_config_names_the_key_and_the_right_one(config: Path) -> None:
    config.write_text(config.read_text() + "[mask]\nvote_secconds = 2\n")
    done = edged("run", "--config", config)
    assert done.returncode == 78
    assert "mask.vote_secconds" in one_line(done)
    assert "did you mean vote_seconds?" in done.stderr


def test_a_config_may_be_named_without_an_option(config: Path, tmp_path: Path) -> None:
    done = edged("config", "check", config, EDGED_CONFIG=str(tmp_path / "none.toml"))
    assert (done.returncode, done.stdout.startswith(f"{config}: valid")) == (0, True)
    done = edged("config", "check", config, "--config", tmp_path / "none.toml")
    assert done.returncode == 2
    assert "two config files; leave one of them out" in one_line(done)


def test_the_config_is_found_through_the_environment(config: Path) -> None:
    done = edged("config", "check", EDGED_CONFIG=str(config))
    assert done.returncode == 0
    assert "door" in done.stdout


def test_config_show_hides_passwords(config: Path) -> None:
    config.write_text(config.read_text() + '[camera.yard]\nsource = "rtsp://user:hush-hush@10.0.0.9/1"\n')
    done = edged("config", "show", "--config", config)
    assert done.returncode == 0
    assert "hush-hush" not in done.stdout
    assert json.loads(done.stdout)["camera"]["yard"]["source"] == "rtsp://***@10.0.0.9/1"


def test_config_schema_is_json() -> None:
    assert "properties" in json.loads(edged("config", "schema").stdout)


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_printed_and_say_what_each_field_means(name: str) -> None:
    schema = json.loads(edged("schema", name).stdout)
    jsonschema_rs.meta.validate(schema)
    parts = [schema, *schema["$defs"].values()]
    assert [part["title"] for part in parts if "properties" in part and not part.get("description")] == []


def test_the_mqtt_schema_names_every_topic_with_how_it_is_delivered() -> None:
    topics = json.loads(edged("schema", "mqtt").stdout)["x-topics"]
    events = {"qos": 1, "retain": False, "payload": {"$ref": "#/$defs/EventPayload"}}
    assert (topics["events"], len(topics)) == (events, len(TOPICS) + 1)


def test_status_without_a_daemon_is_exit_code_69(config: Path) -> None:
    done = edged("status", "--config", config)
    assert done.returncode == 69
    assert "systemctl start edged" in one_line(done)


@pytest.mark.parametrize("verb", [("events",), ("report",), ("db", "check"), ("db", "backup"), ("db", "prune")])
def test_without_a_database_is_exit_code_69(config: Path, verb: tuple[str, ...]) -> None:
    done = edged(*verb, "--config", config)
    assert done.returncode == 69
    assert "edged.db" in one_line(done)


def test_pruning_takes_no_more_days_than_an_instant_can_lie_back(config: Path) -> None:
    Store(config.parent / "edged.db").close()
    done = edged("db", "prune", "--config", config, "--believe-clock", "--days", "200000000000")
    assert done.returncode == 2
    assert "36500" in done.stderr


def test_every_verb_is_told_in_a_whole_sentence_and_a_mistyped_one_is_guessed() -> None:
    told = edged("--help")
    assert "..." not in told.stdout.partition("Commands:")[2]
    assert "did you mean status?" in edged("statu").stderr
    assert edged("statu").returncode == 2


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
def test_events_since_a_day_begin_with_that_local_day(zone: str) -> None:
    there = ZoneInfo(zone)
    midnight = datetime.now(there).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    days = {"today": midnight, "yesterday": (midnight.replace(tzinfo=None) - timedelta(days=1)).replace(tzinfo=there)}
    for word, start in days.items():
        assert parse_since(word, there) == start.timestamp() * 1000
        assert parse_since(start.date().isoformat(), there) == start.timestamp() * 1000
        assert parse_since(f"{start:%Y%m%d}", there) == start.timestamp() * 1000
        assert parse_since(f"{start:%Y-%m-%dT08:00}", there) == start.replace(hour=8).timestamp() * 1000
        assert (
            parse_since(f"{start:%Y-%m-%dT08:00Z}", there)
            == start.replace(hour=8, tzinfo=timezone.utc).timestamp() * 1000
        )


@pytest.mark.parametrize("since", ["yesterday-ish", "24x", "2026-13-45", "20261345", "2026-W47-4", "2026W474"])
def test_events_since_nonsense_is_exit_code_2(config: Path, since: str) -> None:
    done = edged("events", "--since", since, "--config", config)
    assert done.returncode == 2
    assert "--since" in one_line(done)


def test_an_altered_model_is_refused_before_it_is_parsed(tmp_path: Path, portrait: Path) -> None:
    engines = tmp_path / "engines"
    shutil.copytree(ROOT / "engines", engines)
    model = engines / "mask.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    done = edged("analyze", portrait, EDGED_ENGINES=str(engines))
    assert done.returncode == 69
    assert "sha256" in one_line(done)
    assert edged("engines", "verify", EDGED_ENGINES=str(engines)).returncode == 1


def test_a_missing_model_names_the_remedy(tmp_path: Path, portrait: Path) -> None:
    engines = tmp_path / "engines"
    shutil.copytree(ROOT / "engines", engines)
    (engines / "mtcnn-pnet.onnx").unlink()
    done = edged("analyze", portrait, "--detector", "mtcnn", EDGED_ENGINES=str(engines))
    assert done.returncode == 69
    assert "make setup" in one_line(done)


def test_analyze_prints_one_line_of_json_for_each_picture(portrait: Path) -> None:
    done = edged("analyze", portrait, portrait.parent, "--json", "--only", "mask")
    assert done.returncode == 0, done.stderr
    first, second = map(json.loads, done.stdout.splitlines())
    assert first == second
    assert Path(first["source"]).name == "portrait.png"
    assert (first["frame"], first["time_s"], first["width"], first["height"]) == (0, 0.0, 512, 512)
    face = first["faces"][0]
    assert face["mask"]["state"] == "none"
    assert sum(face["mask"]["scores"].values()) == pytest.approx(1, abs=0.01)
    assert 150 < face["box"][0] < face["box"][2] < 300
    assert np.shape(face["keypoints5"]) == (5, 2)
    assert face["track"] is face["keypoints68"] is face["pose"] is face["eyes"] is None


def test_analyze_reads_landmarks_pose_and_eyes_unless_only_masks_are_wanted(portrait: Path) -> None:
    """The portrait looks into the lens, a little tilted, with her eyes open."""
    done = edged("analyze", portrait, "--json")
    assert done.returncode == 0, done.stderr
    (face,) = [face for face in json.loads(done.stdout)["faces"] if face["counted"]]
    landmarks, five = np.array(face["keypoints68"]), np.array(face["keypoints5"])
    assert landmarks.shape == (68, 2)
    width = face["box"][2] - face["box"][0]
    eyes = np.array([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)])
    assert np.linalg.norm(eyes - five[:2], axis=1).max() < 0.15 * width
    assert all(abs(face["pose"][angle]) < 30 for angle in ("yaw", "pitch", "roll"))
    assert face["eyes"]["closed"] is False
    assert face["eyes"]["openness"] > 0.5


def test_padding_moves_no_box(portrait: Path) -> None:
    plain, padded = (
        json.loads(edged("analyze", portrait, "--json", *pad).stdout)["faces"][0]["box"]
        for pad in ((), ("--pad", "0.3"))
    )
    assert np.abs(np.subtract(plain, padded)).max() < 0.15 * (plain[3] - plain[1])


def test_analyze_draws_annotated_copies(portrait: Path, tmp_path: Path) -> None:
    done = edged("analyze", portrait, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    drawn = cv2.imread(str(tmp_path / "out" / "portrait.jpg"))
    assert drawn.shape == (512, 512, 3)
    assert np.abs(drawn.astype(int) - cv2.imread(str(portrait)).astype(int)).max() > 100


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[float, float]]:
    """Smallest face and least score that `edged analyze` looks for in pictures and in recordings."""
    found: dict[str, tuple[float, float]] = {}

    def load(models: ModelsConfig, *_: object) -> Models:
        found["recordings"] = (models.smallest_face, models.least_score)
        return Models(ScriptedDetector([]), ConstantJudge(BARE), {}, {})

    def detector(_: str, __: object, wanted: DetectionLimits) -> ScriptedDetector:
        found["pictures"] = (wanted.smallest_face, wanted.least_score)
        return ScriptedDetector([])

    monkeypatch.setattr("edged.cli.analyze.load_models", load)
    monkeypatch.setattr("edged.cli.analyze.make_detector", detector)
    return found


@pytest.mark.parametrize(
    ("options", "pictures", "recordings"),
    [
        ((), (12, 0.05), (30, 0.4)),
        (("--smallest-face", "20"), (20, 0.05), (20, 0.4)),
        (("--least-score", "0.5"), (12, 0.5), (30, 0.5)),
    ],
)
def test_recordings_are_looked_at_as_the_daemon_would_and_pictures_more_closely(
    looked_for: dict[str, tuple[float, float]],
    config: Path,
    portrait: Path,
    options: tuple[str, ...],
    pictures: tuple[float, float],
    recordings: tuple[float, float],
) -> None:
    config.write_text(config.read_text() + "[models]\nsmallest_face = 30\nleast_score = 0.4\n")
    done = CliRunner().invoke(cli, ["analyze", str(portrait), "--config", str(config), *options])
    assert done.exit_code == 0, done.output
    assert looked_for == {"pictures": pictures, "recordings": recordings}


def test_analyze_tells_what_the_configs_cameras_or_the_profile_ask(config: Path, portrait: Path) -> None:
    """Nobody asks a driver for a mask."""
    config.write_text(config.read_text().replace("[store]", 'profile = "driver"\n[store]'))
    by_config, by_profile, plain = (
        edged("analyze", portrait, *options).stdout for options in (("--config", config), ("--profile", "driver"), ())
    )
    assert by_config == by_profile == f"{portrait}: 1 face: eyes open\n"
    assert plain == f"{portrait}: 1 face: 1 no mask\n"
    done = edged("analyze", portrait, "--only", "mask", "--profile", "driver")
    assert done.returncode == 2
    assert "--profile" in one_line(done)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (20, 10_000, 3), (64, 64), (64, 64, 4)], ids=["1x1", "10000x20", "grey", "rgba"]
)
def test_odd_pictures_are_analysed(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "odd.png"
    cv2.imwrite(str(path), np.full(shape, 90, np.uint8))
    done = edged("analyze", path, "--json", "--only", "mask")
    assert done.returncode == 0, done.stderr
    assert all(
        face["score"] < 0.4 for face in json.loads(done.stdout)["faces"]
    )  # nothing that would be drawn or tracked


def test_a_broken_picture_and_an_empty_video_are_told_and_the_rest_goes_on(tmp_path: Path, portrait: Path) -> None:
    broken, empty = tmp_path / "broken.jpg", tmp_path / "empty.mp4"
    broken.write_bytes(b"not a picture")
    empty.write_bytes(b"")
    done = edged("analyze", broken, empty, portrait, "--json", "--only", "mask")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "broken.jpg" in done.stderr
    assert "empty.mp4" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_folder_without_pictures_is_exit_code_2(tmp_path: Path) -> None:
    done = edged("analyze", tmp_path)
    assert done.returncode == 2
    assert "holds no pictures" in one_line(done)


def test_doctor_checks_the_models_that_the_cameras_profiles_need(config: Path) -> None:
    def models(profile: str) -> set[str]:
        config.write_text(config.read_text().split("profile")[0].rstrip() + f'\nprofile = "{profile}"\n')
        done = edged("doctor", "--config", config, "--json")
        found = (json.loads(line)["what"] for line in done.stdout.splitlines())
        return {what.removeprefix("model ") for what in found if what.startswith("model ")}

    config.write_text('[device]\nid = "test"\n[camera.door]\nsource = "file:///none.mp4"\n')
    entrance, classroom, driver = map(models, ("entrance", "classroom", "driver"))
    assert classroom - entrance >= {"landmarks"}
    assert driver - classroom == {"eyes"}


def test_doctor_tells_each_part_and_fails_when_something_must_be_mended(config: Path) -> None:
    done = edged("doctor", "--config", config, "--json")
    findings = {finding["what"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert findings["camera door"]["verdict"] == "problem"
    assert findings["model mask"]["verdict"] == "ok"
    assert findings["broker"]["verdict"] == "warning"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str) -> None:
    done = edged("completion", shell)
    assert done.returncode == 0
    assert "_EDGED_COMPLETE" in done.stdout


def test_a_reader_that_leaves_early_gets_no_traceback(portrait: Path) -> None:
    command = f"{sys.executable} -m edged engines list --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
