"""Nothing leaves the box that its owner did not ask for, nothing is written elsewhere, and what is kept tells of nobody."""

import base64
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import pytest
from support import sealed, written
from support.daemon import needs_models
from support.household import BROKER_NAME, CAMERA_NAME, DEMO, SECRETS
from support.mosquitto import needs_mosquitto

from edged.cli import VERBS, cli

ROOT = Path(__file__).parents[1]
TELEMETRY_BEGINS_S = 15.0
"""ONNX Runtime's telemetry, left alone, asks for its maker's address 8 s after the start."""
LONG_S = 60.0
NAME_SERVER = 53
PICTURES = (
    b"\xff\xd8\xff\xe0",
    b"\xff\xd8\xff\xdb",
    b"\x89PNG\r\n",
    b"WEBPVP8",
    b"ftypmp4",
    b"/9j/4",
    b"iVBORw0KGgo",
    b"data:image/",
)
OF_A_FACE = re.compile(
    "box|keypoint|landmark|point|embedding|vector|descriptor|image|picture|jpe?g|crop|thumbnail|yaw|pitch|roll|openness|name$"
)
NO_FACE = {"name", "device_name", "smallest_face", "largest_face"}
MOST_MEASURED_NUMBERS = 4
"""A face is more numbers than these: five points are ten."""

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

    def rows(self) -> Iterator[tuple[str, str, object]]:
        """Table, column and value of everything in the database."""
        with closing(sqlite3.connect(self.database)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                found = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
                columns = [column for column, *_ in found.description]
                yield from ((table, column, value) for row in found for column, value in zip(columns, row, strict=True))

    def kept(self) -> dict[str, bytes]:
        """What the daemon keeps and tells, and the reports, as bytes."""
        files = [*self.folder.glob("state/*"), *self.folder.glob("daemon/*.log"), *self.folder.glob("out/*.html")]
        files += [file for file in self.folder.glob("said/*") if "config show" not in file.name]
        kept = {str(file.relative_to(self.folder)): file.read_bytes() for file in files if file.is_file()}
        kept["messages"] = json.dumps(self.record["messages"]).encode()
        return kept

    def documents(self) -> Iterator[tuple[str, object]]:
        """Every piece of JSON that was told or stored."""
        texts = [(topic, payload) for topic, payload in self.record["messages"]]
        texts += [(f"{table}.{column}", value) for table, column, value in self.rows() if isinstance(value, str)]
        for where, text in texts:
            try:
                yield where, json.loads(text)
            except ValueError:
                continue


def leaves(value: object, at: str = "") -> Iterator[tuple[str, list[object]]]:
    """Each list, and each single value as a list, with the last key above it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, str(key))
    elif isinstance(value, list):
        yield at, value
        for inner in value:
            if isinstance(inner, dict | list):
                yield from leaves(inner, at)
    else:
        yield at, [value]


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
    # Without a GPU no engine is built; one camera is not there, and a doctor says so.
    unusual = {label.split(" ", 1)[-1]: code for label, code in lived.record["codes"].items() if code}
    assert {label.split(" --")[0] for label in unusual} <= {"engines build", "doctor"}, unusual
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
    assert lived.record["asked"] == [BROKER_NAME, CAMERA_NAME]


def test_nothing_is_left_in_the_home_the_working_and_the_temporary_folder(lived: Lived) -> None:
    assert [str(path) for name in ("home", "cwd", "tmp") for path in (lived.folder / name).rglob("*")] == []


def test_files_are_written_in_the_state_directory_and_where_out_says_only(lived: Lived) -> None:
    if lived.traced:
        pytest.skip(lived.traced)
    allowed = {"state": ("run", "db", "report", "events", "status"), "out": (), "tmp": (DEMO, "bench", "doctor")}
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
    spellings = {
        secret.encode(),
        quote(secret, safe="").encode(),
        json.dumps(secret)[1:-1].encode(),
        secret.encode().hex().encode(),
    }
    spellings |= {base64.b64encode(secret.encode())[:-4]}
    found = [name for name, text in lived.kept().items() if any(spelling in text for spelling in spellings)]
    assert found == []


def test_the_database_holds_events_of_everything_that_was_asked(lived: Lived) -> None:
    """What follows proves nothing about an empty one."""
    with closing(sqlite3.connect(lived.database)) as connection:
        assert connection.execute("SELECT count(*) FROM events WHERE kind = 'mask'").fetchone()[0] > 2
        assert connection.execute("SELECT count(*) FROM encounters WHERE drowsiness IS NOT NULL").fetchone()[0] > 0
    assert len(lived.record["messages"]) > 20


def test_no_picture_is_kept_or_told(lived: Lived) -> None:
    assert [(name, mark) for name, text in lived.kept().items() for mark in PICTURES if mark in text] == []
    assert [(table, column) for table, column, value in lived.rows() if isinstance(value, bytes)] == []


def test_no_landmark_no_face_and_no_vector_is_kept_or_told(lived: Lived) -> None:
    strange = set()
    for where, document in lived.documents():
        for key, values in leaves(document):
            measured = [value for value in values if isinstance(value, float) and not value.is_integer()]
            if (OF_A_FACE.search(key) and key not in NO_FACE) or len(measured) > MOST_MEASURED_NUMBERS:
                strange.add((where.split("/")[-1], key))
    assert strange == set()
