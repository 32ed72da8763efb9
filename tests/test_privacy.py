"""Nothing leaves the box that its owner did not ask for, nothing is written elsewhere, and what is kept tells of nobody."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from support import scan, sealed, written
from support.daemon import needs_models, write_clip
from support.household import BROKER_NAME, CAMERA_NAME, DEMO, RECEIVER_NAME, SECRETS
from support.mosquitto import needs_mosquitto
from support.storing import HandClock

from edged.assembly import build_pipeline, load_models, tasks_of
from edged.cli import VERBS, cli
from edged.config.load import parse_config
from edged.report import build_report
from edged.report.page import render_html
from edged.store import Store, StoreReader
from edged.store.recorder import Recorder
from edged.types import Frame, Image

ROOT = Path(__file__).parents[1]
TELEMETRY_BEGINS_S = 15.0
"""ONNX Runtime's telemetry, left alone, asks for its maker's address 8 s after the start."""
LONG_S = 60.0
NAME_SERVER = 53
pytestmark = [needs_models, needs_mosquitto]


@pytest.fixture(scope="module", params=[TELEMETRY_BEGINS_S, pytest.param(LONG_S, marks=pytest.mark.long)])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Lived"]:
    """The daemon among cameras and a broker, and every verb once, in a network of its own; what came of it."""
    if reason := sealed.why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("household")
    program = [sys.executable, "-m", "support.household", str(folder), str(request.param)]
    done = subprocess.run(
        sealed.command(program), cwd=ROOT / "tests", capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Lived(folder)


class Lived:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = json.loads((folder / "record.json").read_text())
        self.traced = written.why_not()

    @property
    def database(self) -> Path:
        return self.folder / "state" / "edged.db"

    def kept(self) -> dict[str, bytes]:
        """What the daemon keeps and tells, and the reports, as bytes."""
        files = [*self.folder.glob("state/*"), *self.folder.glob("daemon/*.log"), *self.folder.glob("out/*.html")]
        files += [file for file in self.folder.glob("said/*") if "config show" not in file.name]
        kept = {str(file.relative_to(self.folder)): file.read_bytes() for file in files if file.is_file()}
        kept["messages"] = json.dumps(self.record["messages"]).encode()
        return kept

    def documents(self) -> scan.Documents:
        """Every piece of JSON that was told or stored."""
        told = [(topic.split("/")[-1], payload) for topic, payload in self.record["messages"]]
        return scan.documents(
            [*told, *((f"{table}.{column}", value) for table, column, value in scan.rows(self.database))]
        )


def every_verb() -> set[tuple[str, ...]]:
    """All verbs, with what is below the groups."""
    found: set[tuple[str, ...]] = set()
    with click.Context(cli) as context:
        for verb in VERBS:
            command = cli.get_command(context, verb)
            inner = command.commands if isinstance(command, click.Group) else None
            found |= {(verb, name) for name in inner} if inner else {(verb,)}
    return found


def test_every_verb_was_run_and_none_fell(lived: Lived) -> None:
    ran = [label.split()[1:] if label != "run" else ["run"] for label in lived.record["codes"]]
    assert [verb for verb in sorted(every_verb()) if not any(words[: len(verb)] == list(verb) for words in ran)] == []
    # Without a GPU no engine is built; one camera is not there, and a doctor says so; nor is the output that is tried. The
    # console ends by the signal that asks it to.
    unusual = {label.split(" ", 1)[-1]: code for label, code in lived.record["codes"].items() if code}
    assert {label.split(" --")[0] for label in unusual} <= {
        "engines build",
        "doctor",
        "outputs test no-such-output",
        "console",
    }, unusual
    assert not [name for name, text in lived.kept().items() if b"Traceback" in text]


def test_nothing_is_sent_but_to_the_broker_and_the_cameras(lived: Lived) -> None:
    allowed = {("udp", NAME_SERVER), ("tcp", NAME_SERVER), *(("tcp", port) for port in lived.record["ports"])}
    strange = [
        [phase, protocol, address, port]
        for phase, protocol, address, port in lived.record["sent"]
        if address != "127.0.0.1" or ((protocol, port) not in allowed and DEMO not in phase)
    ]
    assert strange == [], "the demo has a broker of its own on the loopback interface; all else is not asked for"
    assert {port for *_, port in lived.record["sent"]} >= set(lived.record["ports"]), "the watch itself sees"


def test_no_name_is_looked_up_but_theirs(lived: Lived) -> None:
    assert lived.record["asked"] == [BROKER_NAME, CAMERA_NAME, RECEIVER_NAME]


def test_nothing_is_left_in_the_home_the_working_and_the_temporary_folder(lived: Lived) -> None:
    assert [str(path) for name in ("home", "cwd", "tmp") for path in (lived.folder / name).rglob("*")] == []


def test_files_are_written_in_the_state_directory_and_where_out_says_only(lived: Lived) -> None:
    if lived.traced:
        pytest.skip(lived.traced)
    allowed = {
        "state": ("run", "db", "report", "events", "export", "status", "doctor", "claim", "passwd", "console"),
        "out": (),
        "tmp": (DEMO, "bench", "doctor", "fleet"),
    }
    assert any("/state/edged.db" in path for path in lived.record["written"]["run"]), "the watch itself sees"
    strange = []
    for label, paths in lived.record["written"].items():
        verb = label.split()[-1 if label == "run" else 1]
        folders = [str(lived.folder / name) for name, verbs in allowed.items() if verb in verbs or not verbs]
        strange += [(label, path) for path in paths if not path.startswith(("/run/", *folders))]
    assert strange == []


def test_a_crash_leaves_no_memory_behind(lived: Lived) -> None:
    """The size allowed to core dumps of the daemon and its children, and what of their memory goes into one."""
    assert lived.record["core_limits"] == ["0 0", "00000000"]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_password_and_no_user_name_is_kept_or_told(lived: Lived, secret: str) -> None:
    assert scan.holding(secret, lived.kept()) == []


def test_something_was_kept_and_told(lived: Lived) -> None:
    """What is found nowhere in an empty database is no news."""
    with closing(sqlite3.connect(lived.database)) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE kind = 'mask'").fetchone()[0] > 2
        assert connection.execute("SELECT count(*) FROM encounters WHERE drowsiness IS NOT NULL").fetchone()[0] > 0
    assert len(lived.record["messages"]) > 20
    assert min(lived.record["notified"]) > 1


def test_no_picture_and_no_face_is_kept_or_told(lived: Lived) -> None:
    assert scan.pictures(lived.kept()) == []
    assert scan.blobs(lived.database) == set()
    assert scan.faces(lived.documents()) == set()


@pytest.mark.parametrize("seconds", [20, pytest.param(3600, marks=pytest.mark.long)])
def test_an_hour_before_every_kind_of_camera_leaves_numbers_about_nobody(tmp_path: Path, seconds: int) -> None:
    """The same pictures at the same times in every run: everything is read of each face, recorded, told and reported.

    Time is simulated. People come in the first third of each minute; for the rest of it there is no picture.
    """
    raw = {"camera": {p: {"source": "csi://0", "profile": p} for p in ("entrance", "classroom", "driver")}}
    config = parse_config({**raw, "models": {"smallest_face": 30, "threads": 1}}, tmp_path / "edged.toml")
    clock, pictures = HandClock(), _pictures(write_clip(tmp_path / "clip.mp4"))
    with Store(tmp_path / "edged.db") as store:
        recorder = Recorder(clock, store.write, publishing=True)
        models = load_models(config.models, tasks_of(config))
        pipelines = [build_pipeline(name, camera, config, models) for name, camera in config.camera.items()]
        for number in range(seconds * 10):
            clock.pass_s(0.1)
            for pipeline in pipelines if number % 600 < 200 else ():
                outcome = pipeline.step(
                    Frame(pipeline.camera, number, clock.monotonic_s(), pictures[number % len(pictures)])
                )
                recorder.record(outcome.events, outcome.encounters)
                recorder.analysed(pipeline.camera, clock.monotonic_s(), len(outcome.faces))
        recorder.flush()
        day = datetime.fromtimestamp(clock.utc_ms() / 1000, tz=timezone.utc).date()
        report = build_report(StoreReader(store.path), config, day, clock.utc_ms())
    texts = {file.name: file.read_bytes() for file in tmp_path.glob("edged.db*")} | {
        "page": render_html(report).encode()
    }
    assert report["encounters"] > 0
    assert scan.pictures(texts) == []
    assert scan.blobs(tmp_path / "edged.db") == set()
    stored = [(f"{table}.{column}", value) for table, column, value in scan.rows(tmp_path / "edged.db")]
    assert {where for where, _ in stored} >= {"outbox.payload", "encounters.drowsiness", "encounters.attention"}
    assert scan.faces([*scan.documents(stored), ("report", report)]) == set()


@pytest.mark.parametrize(
    "document",
    [
        {"box": [1, 2, 3, 4]},
        {"details": {"keypoints5": [[1, 2], [3, 4]]}},
        {"pose": {"yaw": 3.5}},
        {"why": [0.5, 0.25, 0.125, 0.1, 0.2]},
        {"crop": "A" * 65},
    ],
)
def test_the_scan_finds_what_it_looks_for(document: object) -> None:
    assert scan.faces([("events", document)])


def _pictures(clip: Path) -> list[Image]:
    reader, found = cv2.VideoCapture(str(clip)), []
    while (read := reader.read())[0]:
        found.append(np.asarray(read[1], np.uint8))
    reader.release()
    return found
