"""The demo, with the real daemon and a subscriber."""

import shlex
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.daemon import needs_models, write_clip

from edged.demo.broker import DemoBroker
from edged.demo.play import play
from edged.errors import Unavailable


@needs_models
def test_it_may_end_early_and_however_slowly_the_daemon_starts_there_is_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    play(write_clip(tmp_path / "clip.mp4"), tmp_path / "day.html", lambda line, _: said.append(line), seconds=0.05)
    assert [line.strip() for line in said if line.startswith("  · ")] == ["· demo is online", "· demo is offline"]
    assert "<html" in (tmp_path / "day.html").read_text()


def test_who_lacks_the_demos_broker_gets_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(Unavailable) as refused:
        DemoBroker(lambda *_: None)
    program, *words = shlex.split(str(refused.value).partition("run: ")[2])
    assert program == sys.executable
    assert words[:3] == ["-m", "pip", "install"]
    assert {Requirement(word).name for word in words[3:]} >= {"amqtt", "scikit-image"}
