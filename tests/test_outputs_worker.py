"""The outputs' own thread beside a recorder, a disk and a sound card that hang: the lamp does not wait for any of them."""

import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.gpio import FileChip, use
from support.mosquitto import until
from support.output_scenes import EMPTY, event, outcome

from edged.capture.inbox import FrameInbox
from edged.config import ButtonInput, Config
from edged.config.load import parse_config
from edged.daemon.analysis import AnalysisWorker
from edged.host.clock import SystemClock
from edged.outputs import presses
from edged.outputs.units import Button
from edged.outputs.worker import OutputWorker
from edged.types import Frame

IMAGE = np.zeros((8, 8, 3), np.uint8)


class HangingRecorder:
    """A recorder whose store has stopped taking anything."""

    def __init__(self) -> None:
        self.go_on, self.hangs = threading.Event(), threading.Event()

    def record(self, events: Any, encounters: Any) -> None:
        if events:
            self.hangs.set()
            self.go_on.wait(600)

    def analysed(self, *_: object) -> None:
        return

    def flush(self) -> None:
        return


def config(**outputs: Any) -> Config:
    raw = {"camera": {"door": {"source": "file:///a.mp4"}}, "output": outputs}
    return parse_config(raw, Path("edged.toml"))


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FileChip:
    use(monkeypatch, tmp_path / "chips")
    return FileChip(tmp_path / "chips")


PRESSES = "gpiochip0.1.presses"
LAMP = {"kind": "gpio", "when": ["mask_none"], "line": "RED"}


def test_a_lamp_is_on_while_the_recorder_hangs(chip: FileChip) -> None:
    outputs = OutputWorker(config(lamp=LAMP), lambda _: False, SystemClock(True))
    inbox, recorder = FrameInbox(["door"]), HangingRecorder()
    steps = iter([EMPTY, outcome(event("a", "start", 1))])
    pipeline: Any = SimpleNamespace(step=lambda _: next(steps), finish=lambda *_: EMPTY, times=None)
    analysis = AnalysisWorker(
        inbox, {"door": pipeline}, recorder, lambda: None, [outputs.observe], outputs.take_notifications
    )  # type: ignore[arg-type]
    outputs.start()
    analysis.start()
    try:
        assert until(lambda: chip.is_high("RED") is False)
        for number in range(2):
            assert inbox.offer_patiently(Frame("door", number, float(number), IMAGE), 20)
        assert until(lambda: chip.is_high("RED"), 30)
        assert recorder.hangs.wait(20)
        assert not recorder.go_on.is_set()
    finally:
        recorder.go_on.set()
        inbox.close()
        assert analysis.stop(20)
        assert outputs.stop(20)
    assert chip.is_high("RED") is False


def test_a_lamp_does_not_wait_for_a_sound_card_that_hangs(
    chip: FileChip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "aplay").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "aplay").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    outputs = OutputWorker(
        config(voice={"kind": "sound", "when": ["mask_none"], "play": "alarm"}, lamp=LAMP),
        lambda _: False,
        SystemClock(True),
    )
    assert [thread.name for thread in outputs.threads] == ["outputs", "sound voice"]
    outputs.start()
    try:
        for number in range(3):
            outputs.observe(Frame("door", number, float(number), IMAGE), outcome(event(f"e{number}", "start", number)))
            assert until(lambda: chip.is_high("RED"))
            outputs.observe(
                Frame("door", number, number + 0.5, IMAGE), outcome(event(f"e{number}", "end", number, why="left"))
            )
            assert until(lambda: not chip.is_high("RED"))
    finally:
        began = time.monotonic()
        assert outputs.stop(20)
    assert time.monotonic() - began < 15


def test_a_button_is_heard_by_the_thread(chip: FileChip) -> None:
    outputs = OutputWorker(
        config(lamp=LAMP, button={"kind": "button", "line": "BUTTON"}), lambda _: False, SystemClock(True)
    )
    outputs.start()
    try:
        outputs.observe(Frame("door", 0, 0.0, IMAGE), outcome(event("a", "start", 0)))
        assert until(lambda: chip.is_high("RED"))
        chip.press("BUTTON")
        assert until(lambda: not chip.is_high("RED"))
        assert until(lambda: outputs.states()["lamp"].acknowledged)
    finally:
        assert outputs.stop(20)


def test_a_contact_that_chatters_silences_nothing_for_long_and_floods_neither_log_nor_thread(
    chip: FileChip, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presses, "PRESS_S", 0.02)
    monkeypatch.setattr(presses, "QUIET_S", 120.0)  # a busy machine's contact may rest
    caplog.set_level(logging.INFO)
    outputs = OutputWorker(
        config(lamp=LAMP, button={"kind": "button", "line": "BUTTON", "debounce_ms": 0}),
        lambda _: False,
        SystemClock(True),
    )
    turns = []
    step = outputs.step
    outputs.step = lambda now_s: turns.append(now_s) or step(now_s)  # type: ignore[method-assign]
    outputs.start()
    stop = threading.Event()
    assert until(lambda: outputs.states()["button"].problem is None and (chip.folder / PRESSES).exists())

    def chatter() -> None:
        while not stop.wait(0.002):
            chip.press("BUTTON")

    contact = threading.Thread(target=chatter)
    contact.start()
    try:
        assert until(lambda: outputs.states()["button"].problem is not None)
        assert "its contact chatters" in str(outputs.states()["button"].problem)
        assert outputs.problems() == [f"output button: {presses.CHATTERS}"]
        outputs.observe(Frame("door", 0, 0.0, IMAGE), outcome(event("a", "start", 0)))
        assert until(lambda: chip.is_high("RED"))
        turns.clear()
        began = time.monotonic()
        time.sleep(2)
        assert chip.is_high("RED")
        assert len(turns) < 15 * (time.monotonic() - began)
    finally:
        stop.set()
        contact.join(20)
    try:
        monkeypatch.setattr(presses, "QUIET_S", 3.0)
        assert until(lambda: outputs.states()["button"].problem is None)
        chip.press("BUTTON")
        assert until(lambda: not chip.is_high("RED"))
    finally:
        assert outputs.stop(20)
    lines = Counter(record.getMessage() for record in caplog.records if "button" in record.getMessage())
    assert lines["button button was pressed"] <= 10
    assert lines[f"output button: {presses.CHATTERS}"] == lines["output button works again"] == 1


def test_a_hand_that_has_pressed_again_and_again_silences_an_alarm_by_holding_the_button_down(
    chip: FileChip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presses, "PRESS_S", 0.02)
    outputs = OutputWorker(
        config(lamp=LAMP, button={"kind": "button", "line": "BUTTON"}), lambda _: False, SystemClock(True)
    )
    outputs.start()
    try:
        assert until((chip.folder / PRESSES).exists)
        while not outputs.problems():
            chip.press("BUTTON")
            time.sleep(0.03)
        outputs.observe(Frame("door", 0, 0.0, IMAGE), outcome(event("a", "start", 0)))
        assert until(lambda: chip.is_high("RED"))
        chip.press("BUTTON")
        time.sleep(0.5)
        assert chip.is_high("RED")
        assert "only when it is held down for 1 s" in outputs.problems()[0]
        chip.hold("BUTTON")
        assert until(lambda: not chip.is_high("RED"), presses.QUIET_S / 2)
        assert outputs.problems()
        outputs.observe(Frame("door", 1, 1.0, IMAGE), outcome(event("b", "start", 1)))
        assert until(lambda: chip.is_high("RED"))
        time.sleep(2 * presses.HELD_S)
        assert chip.is_high("RED"), "a contact that sticks silences what comes"
    finally:
        assert outputs.stop(20)


def test_a_contact_whose_next_press_ends_its_chattering_is_said_to_work_again(caplog: pytest.LogCaptureFixture) -> None:
    """As when this thread could not look for a while."""
    caplog.set_level(logging.INFO)
    line = SimpleNamespace(presses=lambda: 1, close=lambda: None)
    button = Button("button", ButtonInput(kind="button", line="BUTTON"), lambda _: line)
    button.open(0.0)
    assert [button.was_pressed(float(at), readable=True, silences=False) for at in range(20)].count(False) > 0
    assert button.was_pressed(20 + presses.QUIET_S, readable=True, silences=False)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_a_press_bounces_and_a_hand_presses_now_and_then() -> None:
    one = presses.Presses()
    assert [one.edge(at, False) for at in (0, 0.004, 0.02, 0.29)] == [True, False, False, False]
    assert [one.edge(at, False) for at in (0.5, 1, 2, 4, 8, 16)] == [True] * 6
    slow = presses.Presses()
    counted = [slow.edge(at * 9.0, False) for at in range(100)]
    assert counted == [True] * 29 + [False] * 71
    slow.settle(99 * 9.0 + presses.QUIET_S)
    assert not slow.chatters
    assert slow.edge(1000.0, False)


def test_a_hand_that_silences_alarm_after_alarm_is_heard_each_time() -> None:
    """At a busy door somebody may do so all morning."""
    busy = presses.Presses()
    assert all(busy.edge(at * 0.9, silences=True) for at in range(1000))
    bounced = presses.Presses()
    assert [bounced.edge(at, silences=True) for at in (0, 0.004, 0.29)] == [True, False, False]


def test_without_outputs_nothing_runs_and_no_hardware_is_loaded():
    code = """
import sys
import edged.daemon.app
from edged.config import ButtonInput, Config
from edged.deliver import transports
from edged.host.clock import SystemClock
from edged.outputs.units import Button
from edged.outputs.worker import OutputWorker

config = Config(camera={"door": {"source": "v4l2:/dev/video0"}})
outputs = OutputWorker(config, bool, SystemClock())
outputs.start()
assert not outputs.threads and not outputs.is_alive() and outputs.stop(0.1) and not outputs.states()
assert not transports(config, "device", None, SystemClock())
others = ("edged.console", "edged.fleet", "edged.export", "edged.deliver.mail", "edged.deliver.webhook",
    "edged.deliver.letters", "edged.outputs.gpio", "edged.outputs.sound", "gpiod", "smtplib", "starlette", "uvicorn", "duckdb")
print([name for name in others if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
