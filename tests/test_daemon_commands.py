"""Commands over MQTT, as the main thread sees them: none waits, none raises, each is answered."""

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mosquitto import until

from edged.config import Config
from edged.daemon.commands import ANSWER_WAIT_S, Commands
from edged.daemon.reporter import Answer
from edged.publish import Command
from edged.publish.commands import parse_command
from edged.records import Message


@dataclass
class Line:
    """A connection to the broker, as far as commands need one."""

    connected: bool = True
    received: list[Command] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def commands(self) -> list[Command]:
        received, self.received = self.received, []
        return received

    def send(self, message: Message) -> None:
        self.sent.append((message.topic, json.loads(message.payload)))


@dataclass
class Reports:
    """A reporter that answers when it is told to."""

    asked: list[tuple[date, Answer]] = field(default_factory=list)
    busy: bool = False

    def request(self, day: date, answer: Answer) -> bool:
        if not self.busy:
            self.asked.append((day, answer))
        return not self.busy


class StillClock:
    now = 0.0

    def monotonic_s(self) -> float:
        return self.now

    def utc_ms(self) -> int:
        return 1_790_000_000_000

    def trusted(self) -> bool:
        return True


class Desk:
    """Commands, and everything around them under a test's control."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock, self.reloads, self.problem = StillClock(), 0, None
        self.replaces = False
        self.line, self.reports, self.acknowledged_by = Line(), Reports(), list[str]()
        file = tmp_path / "edged.toml"
        file.write_text("[store]\n")
        self.commands = Commands(self.clock, file)

    @property
    def runtime(self) -> Any:
        outputs = SimpleNamespace(acknowledge=lambda _, who: self.acknowledged_by.append(who))
        return SimpleNamespace(config=Config(), publisher=self.line, reporter=self.reports, outputs=outputs)

    def step(self) -> None:
        """What the main thread does each time."""
        self.commands.handle(self.runtime)
        if self.commands.reload_asked:
            self.reloads += 1
            if self.replaces:
                self.line, self.reports = Line(connected=False), Reports()
            self.commands.reloaded(self.problem, swapped=self.replaces)

    def obey_all(self) -> None:
        for _ in range(40):
            self.step()

    def ask(self, verb: str, **payload: Any) -> None:
        self.line.received.append(Command(verb, payload))

    def answers(self, verb: str) -> list[dict[str, Any]]:
        return [payload for topic, payload in self.line.sent if topic == f"cmd/{verb}/result"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_who_acknowledges_is_one_short_line_in_the_record_whatever_was_sent(desk: Desk) -> None:
    for sent in ({"who": "Ada"}, {"who": 7}, {"request_id": "home"}, {}, {"who": "\x1b[2J\nroot"}, {"who": "x" * 256}):
        desk.ask("acknowledge", **sent)
    desk.obey_all()
    assert desk.acknowledged_by == ["Ada", "7", "home", "MQTT", "MQTT", "x" * 100]
    assert all(answer["ok"] for answer in desk.answers("acknowledge"))


def test_sixteen_reloads_and_a_lost_broker_read_the_file_once_wait_for_nothing_and_are_all_answered(desk: Desk) -> None:
    desk.replaces = True
    for number in range(16):
        desk.ask("reload", request_id=number)
    first = desk.line
    desk.step()
    assert desk.reloads == 1
    desk.obey_all()
    assert desk.reloads == 1
    assert first.sent == desk.line.sent == []
    desk.line.connected = True
    desk.step()
    assert [answer["request_id"] for answer in desk.answers("reload")] == list(range(16))
    assert desk.clock.now == 0.0, "nothing has waited for the clock either"


def test_one_command_is_carried_out_at_a_time_so_that_the_supervision_has_its_turn(desk: Desk) -> None:
    for _ in range(3):
        desk.ask("report")
    desk.step()
    assert len(desk.reports.asked) == 1
    desk.obey_all()
    assert len(desk.reports.asked) == 3


def test_an_answer_without_a_connection_is_dropped_after_a_while(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.line.connected = False
    desk.ask("reload")
    desk.step()
    desk.clock.now = ANSWER_WAIT_S + 1
    desk.step()
    desk.line.connected = True
    desk.step()
    assert desk.line.sent == []
    assert "cmd/reload/result was not sent" in caplog.text


def test_a_reload_that_is_refused_says_why(desk: Desk) -> None:
    desk.problem = "the config was not reloaded: key x: wrong"
    desk.ask("reload", request_id="7")
    desk.obey_all()
    assert desk.answers("reload") == [{"v": 1, "request_id": "7", "ok": False, "error": desk.problem}]


def test_a_self_test_overtaken_by_a_restart_is_answered_and_so_is_everything_else_that_waits(desk: Desk) -> None:
    desk.ask("selftest", request_id="s")
    desk.ask("report", request_id="r")
    desk.ask("restart", request_id="x")
    desk.ask("reload", request_id="l")
    for _ in range(3):
        desk.step()
    assert desk.commands.restart_asked
    assert desk.answers("restart") == [{"v": 1, "request_id": "x", "ok": True, "error": None}]
    desk.commands.stop(desk.runtime)
    for verb, request in (("selftest", "s"), ("report", "r"), ("reload", "l")):
        (answer,) = desk.answers(verb)
        assert (answer["request_id"], answer["ok"]) == (request, False)
        assert "stopping" in answer["error"]
    desk.reports.asked[0][1]({"ok": True})
    assert len(desk.answers("report")) == 1, "each is answered once"


def test_a_report_whose_reporter_a_reload_replaces_is_answered(desk: Desk) -> None:
    desk.ask("report", request_id="r")
    desk.step()
    desk.replaces = True
    desk.ask("reload")
    desk.step()
    desk.line.connected = True
    desk.step()
    assert "reloaded meanwhile" in desk.answers("report")[0]["error"]


def test_a_report_waits_through_a_reload_that_changes_nothing(desk: Desk) -> None:
    desk.ask("report", request_id="r")
    desk.step()
    desk.ask("reload")
    desk.step()
    desk.reports.asked[0][1]({"ok": True})
    desk.step()
    (answer,) = desk.answers("report")
    assert (answer["request_id"], answer["ok"]) == ("r", True)


def test_a_busy_reporter_says_so(desk: Desk) -> None:
    desk.reports.busy = True
    desk.ask("report")
    desk.step()
    assert "busy" in desk.answers("report")[0]["error"]


def test_a_self_test_that_ends_is_answered_by_what_it_found(desk: Desk) -> None:
    desk.commands._self_test._command = ("false",)
    desk.ask("selftest", request_id="s")
    assert until(lambda: desk.step() or desk.answers("selftest"))
    (answer,) = desk.answers("selftest")
    assert (answer["request_id"], answer["ok"]) == ("s", False)


@given(
    st.sampled_from(["report", "reload"]),
    st.fixed_dictionaries(
        {},
        optional={
            "request_id": st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
            "date": st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=300)
            | st.dates().map(str),
        },
    ),
)
@settings(deadline=None, max_examples=150)
def test_whatever_passes_as_a_command_is_carried_out_without_an_exception(
    tmp_path_factory: pytest.TempPathFactory, verb: str, payload: dict[str, Any]
) -> None:
    command = parse_command(f"cmd/{verb}", json.dumps(payload).encode(), retained=False)
    if isinstance(command, Command):
        desk = Desk(tmp_path_factory.getbasetemp())
        desk.line.received.append(command)
        desk.obey_all()
        assert desk.reports.asked or desk.line.sent
