"""The demo, with the real daemon and a subscriber."""

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import termios
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.daemon import needs_models, write_clip
from support.mosquitto import PATIENCE_S, until

from edged.demo.broker import DemoBroker
from edged.demo.play import _edged, play, refuse_others
from edged.errors import Failed, SourceLost, Unavailable, UsageError


@needs_models
def test_it_may_end_early_and_however_slowly_the_daemon_starts_there_is_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    play(write_clip(tmp_path / "clip.mp4"), tmp_path / "day.html", lambda line, _: said.append(line), seconds=0.05)
    assert [line.strip() for line in said if line.startswith("  · ")] == ["· demo is online", "· demo is offline"]
    assert "<html" in (tmp_path / "day.html").read_text()


@needs_models
def test_at_a_terminal_the_scene_begins_anew_while_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scene is a short clip here: the page goes on when it has been played, and its report lies there."""
    clip, said, seen = write_clip(tmp_path / "clip.mp4"), list[str](), list[int]()
    monkeypatch.setattr("edged.demo.play._scene", lambda *_: (clip, 1.0))

    def stay(_alerts: Counter[str]) -> None:
        page = next(re.search(r"http://\S+", line) for line in said if "browser" in line)
        assert page is not None
        again = until(lambda: any("is online" in line for line in said))

        def works() -> bool:  # a moment after it is online
            with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(page[0]) as answer:
                return "Working: 1 of 1 camera watched" in answer.read().decode()

        seen.append(until(works) + 2 * again + 4 * (tmp_path / "day.html").exists())

    play(None, tmp_path / "day.html", lambda line, _: said.append(line), stay=stay)
    assert seen == [7]
    assert said[-1].strip() == "· demo is offline"


@pytest.mark.parametrize(("content", "told"), [(b"", "is empty"), (b"no video", "not a video")])
def test_a_source_that_shows_nothing_is_told_at_once(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceLost, match=told):
        play(tmp_path / "a.mp4", tmp_path / "day.html", lambda *_: None)


@pytest.mark.parametrize("name", ["demo-report.html", "week/2026-11-18.html"])
def test_a_page_that_somebody_else_made_is_not_written_over(tmp_path: Path, name: str) -> None:
    """A week's pages have the names that a site's own reports have."""
    page = tmp_path / name
    page.parent.mkdir(exist_ok=True)
    page.write_text("<html>My own</html>")
    with pytest.raises(UsageError, match="was not made by `edged demo`"):
        refuse_others(tmp_path / "demo-report.html", tmp_path / "week")
    (tmp_path / "demo-report.html").write_text("<h1>Demo entrance</h1>")
    page = tmp_path / "week" / "2026-11-18.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text("<p>Made up by edged demo: …</p>")
    refuse_others(tmp_path / "demo-report.html", tmp_path / "week")


def test_a_verb_that_takes_for_ever_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.demo.play.MOST_VERB_S", 0.01)
    with pytest.raises(Failed, match="edged report did not end within"):
        _edged("report")


AT_A_TERMINAL = """
import sys
from pathlib import Path
import edged.cli.demo as demo, edged.demo.play as play
from edged.cli import main
play._scene = lambda *_: (Path(sys.argv[1]), 1.0)
demo.make_week = lambda folder, _: folder
main(["demo", "--report", sys.argv[2]])
"""


@needs_models
@pytest.mark.parametrize("how", ["Ctrl-C", "the terminal is closed"])
def test_whoever_ends_the_demo_at_a_terminal_ends_all_of_it(tmp_path: Path, how: str) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-c", AT_A_TERMINAL, str(write_clip(tmp_path / "clip.mp4")), str(tmp_path / "day.html")]
    # A session of its own, whose terminal this is.
    demo = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=_at_its_terminal,
    )
    os.close(slave)
    said = _read(master, b"until you press Ctrl-C")
    if how == "Ctrl-C":
        os.write(master, b"\x03")
        said += _read(master)
        assert demo.wait(60) == 0, said.decode(errors="replace")
        assert b"Traceback" not in said
        os.close(master)
    else:
        os.close(master)
        demo.wait(60)
    assert until(lambda: not _in_session(demo.pid))


def _at_its_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(terminal: int, up_to: bytes = b"\0") -> bytes:
    """What comes from a terminal, up to some text or until nobody holds its other end."""
    said = b""
    with contextlib.suppress(OSError):  # EIO, once all have ended
        while up_to not in said and select.select([terminal], [], [], PATIENCE_S)[0]:
            said += os.read(terminal, 65536)
    return said


def _in_session(session: int) -> list[str]:
    """The commands of the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, fields = stat.read_text().rsplit(")", 1)
            if int(fields.split()[3]) == session and fields.split()[0] != "Z":
                found.append(name)
    return found


def test_who_lacks_the_demos_broker_gets_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(Unavailable) as refused:
        DemoBroker(lambda *_: None)
    program, *words = shlex.split(str(refused.value).partition("run: ")[2])
    assert program == sys.executable
    assert words[:3] == ["-m", "pip", "install"]
    assert {Requirement(word).name for word in words[3:]} >= {"amqtt", "scikit-image"}
