"""The demo, with the real daemon and a subscriber."""

import re
import shlex
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.daemon import needs_models, write_clip
from support.mosquitto import until

from edged.demo.broker import DemoBroker
from edged.demo.play import play
from edged.errors import Unavailable


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
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(page[0]) as answer:
            text = answer.read().decode()
        seen.append(("Working: 1 of 1 camera watched" in text) + 2 * again + 4 * (tmp_path / "day.html").exists())

    play(None, tmp_path / "day.html", lambda line, _: said.append(line), stay=stay)
    assert seen == [7]
    assert said[-1].strip() == "· demo is offline"


def test_who_lacks_the_demos_broker_gets_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(Unavailable) as refused:
        DemoBroker(lambda *_: None)
    program, *words = shlex.split(str(refused.value).partition("run: ")[2])
    assert program == sys.executable
    assert words[:3] == ["-m", "pip", "install"]
    assert {Requirement(word).name for word in words[3:]} >= {"amqtt", "scikit-image"}
