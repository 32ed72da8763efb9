"""Where the command line prints to: any encoding, a full disk, a reader that leaves, a standard stream that is closed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.storing import ended, started

from edged.cli.streams import DEGRADE
from edged.store import Store

EDGED = f"{sys.executable} -m edged"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, timeout=120, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """One camera, and a thousand events: more than a pipe holds."""
    path = tmp_path / "edged.toml"
    path.write_text(
        f'[device]\nid = "test"\n[camera.door]\nsource = "file://{tmp_path}/none.mp4"\n'
        f'[store]\npath = "{tmp_path}/edged.db"\n'
    )
    with Store(tmp_path / "edged.db") as store:
        store.write([started(f"E{number:06d}", number) for number in range(1000)])
    return path


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.long),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_doctor_comes_to_its_end_whatever_the_terminal_speaks(config: Path, environment: dict[str, str]) -> None:
    whole = shell(f"{EDGED} doctor --config {config}", PYTHONIOENCODING="utf-8")
    told = shell(f"{EDGED} doctor --config {config}", **environment)
    assert b"Traceback" not in told.stderr
    assert told.returncode == whole.returncode == 1
    text = told.stdout.decode(environment.get("PYTHONIOENCODING", "ascii"))
    assert len(text.splitlines()) == len(whole.stdout.splitlines())
    assert text.startswith("+ board: ")


def test_a_files_name_turns_the_direction_of_no_error() -> None:
    done = shell(f"{EDGED} fleet report --from $'/none\u202e\tü'", PYTHONIOENCODING="utf-8")
    assert done.stderr.startswith("edged: /none\\u202e\\tü: cannot be read".encode()), done.stderr
    assert done.returncode == 69


def test_what_cannot_be_printed_is_told_in_simpler_characters() -> None:
    assert "✓ Tür 20 °C … ×2 日 \udcff".encode("ascii", DEGRADE) == b"+ Tur 20  degreesC ... x2 ? \\xff"


@pytest.mark.parametrize(
    "verb", ["config schema", "config check", "events --since 1970-01-01", "--help", "--version", "db check", "doctor"]
)
def test_a_full_disk_is_one_line_and_exit_code_1(config: Path, verb: str) -> None:
    done = shell(f"EDGED_CONFIG={config} {EDGED} {verb} > /dev/full")
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line == "edged: standard output cannot be written (No space left on device); see where it goes"


@pytest.mark.parametrize("verb", ["events --since 1970-01-01", "events --since 1970-01-01 --json", "config schema"])
def test_a_reader_that_leaves_ends_it_quietly(config: Path, verb: str) -> None:
    done = shell(f"EDGED_CONFIG={config} {EDGED} {verb} | head -1; echo ${{PIPESTATUS[0]}}")
    first, code = done.stdout.splitlines()
    assert first
    assert (code, done.stderr) == (b"0", b"")


def test_a_reader_that_leaves_ends_a_copy_to_standard_output_quietly(config: Path) -> None:
    with Store(config.with_name("edged.db")) as store:
        store.write([started(f"F{number:06d}", number, details={"d": "x" * 1000}) for number in range(300)])
    done = shell(
        f"EDGED_CONFIG={config} {EDGED} db backup --out /dev/stdout | head -c 15; echo; echo ${{PIPESTATUS[0]}}"
    )
    assert done.stdout == b"SQLite format 3\n0\n"
    assert done.stderr == b""


def test_a_reader_that_leaves_ends_following(config: Path) -> None:
    """`--follow` waits for events for ever: the next one finds nobody."""
    database = config.with_name("edged.db")
    following = f"EDGED_CONFIG={config} {EDGED} events --since 1970-01-01 --follow --json"
    with subprocess.Popen(
        ["bash", "-c", f"{following} | head -1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        assert it.stdout is not None
        assert it.stderr is not None
        assert json.loads(it.stdout.readline())["event_id"] == "E000000"
        with Store(database) as store:
            store.write([ended("E000000", 1, started_at=0)])
        assert it.wait(60) == 0
        assert it.stderr.read() == b""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "2>/dev/full", "<&-"])
def test_a_closed_stream_does_not_change_the_exit_code(tmp_path: Path, closed: str) -> None:
    assert shell(f"{EDGED} config check --config {tmp_path}/none {closed}").returncode == 78
    assert b"Traceback" not in shell(f"{EDGED} config schema {closed}").stderr
