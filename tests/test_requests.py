"""The request socket: whatever a client sends or does not, it is answered or left, others are served, and commands are done."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mosquitto import PATIENCE_S, until

from edged.config import Config
from edged.daemon import commands as commands_module
from edged.daemon.client import ask, request, socket_path
from edged.daemon.commands import MOST_ASKED, Commands
from edged.daemon.requests import Requests
from edged.errors import Unavailable
from edged.host.clock import SystemClock
from edged.publish.commands import Command
from edged.sockets import MOST_CLIENTS, LineServer

STATUS = {"mode": "normal", "cameras": {}}


class Desk:
    """The request socket of a daemon whose main thread is the test's."""

    def __init__(self, folder: Path) -> None:
        self.path = socket_path(folder / "edged.db")
        self.commands = Commands(SystemClock(True), folder / "edged.toml")
        self.requests = Requests(self.commands, {"status": lambda: STATUS})
        self.server = self.requests.server(folder / "edged.db")
        self.runtime: Any = SimpleNamespace(config=Config(), publisher=None, reporter=None)
        self._stop = threading.Event()
        self._main = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._stop.wait(0.01):
            self.commands.handle(self.runtime)
            if self.commands.reload_asked:
                self.commands.reloaded(None, swapped=False)

    def begin(self) -> None:
        self._main.start()

    def end(self) -> None:
        self._stop.set()
        if self._main.ident is not None:
            self._main.join(PATIENCE_S)
        self.commands.stop(self.runtime)
        assert self.server.stop(PATIENCE_S)
        assert self.server.failure is None


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path)
    one.server.open()
    one.server.start()
    yield one
    one.end()


def say(path: Path, text: bytes, *, finish: bool = False) -> bytes:
    """All that is answered to these bytes; b"" when nothing is."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(str(path))
        with contextlib.suppress(OSError):
            client.sendall(text)
            if finish:
                client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65_536):
                answer += part
    return answer


def test_a_client_that_says_nothing_or_an_empty_line_gets_the_status(desk: Desk) -> None:
    for text in (b"", b"\n", b"  \n", b'{"verb": "status"}\n'):
        assert json.loads(say(desk.path, text)) == STATUS
    assert json.loads(say(desk.path, b"", finish=True)) == STATUS
    assert ask(desk.path) == STATUS


def test_a_command_is_carried_out_by_the_main_thread_and_answered_as_over_mqtt(desk: Desk) -> None:
    desk.begin()
    answer = request(desk.path, "reload", request_id="7")
    assert answer == {"v": 1, "request_id": "7", "ok": True, "error": None}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"verb": "dance", "request_id": 3}\n', "unknown command; known here: "),
        (b'{"a": 1}\n', "names no verb"),
        (b"[1]\n", "JSON object"),
        (b"PRESS\n", "not JSON"),
        (b'{"verb": "reload", "x": "' + b"y" * 70_000 + b'"}\n', "longer than 65536 bytes"),
        (b'{"verb": "report", "date": []}\n', "date: must be"),
    ],
)
def test_what_is_no_request_is_refused_with_what_is_wrong(desk: Desk, line: bytes, said: str) -> None:
    answer = json.loads(say(desk.path, line))
    assert answer["ok"] is False
    assert said in answer["error"]


def test_one_who_does_not_finish_is_cut_off_and_nobody_waits_for_them(desk: Desk) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(MOST_CLIENTS - 1)]
        for client in slow:
            client.settimeout(PATIENCE_S)
            client.connect(str(desk.path))
            client.sendall(b'{"verb"')
        assert ask(desk.path) == STATUS
        for client in slow:
            assert client.recv(10) == b"", "cut off without an answer"


def test_with_too_many_clients_at_once_the_next_hears_that_the_daemon_is_busy(desk: Desk) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(desk.path))
            client.sendall(b"{")
        assert until(lambda: b"busy" in say(desk.path, b"\n"))
    assert until(lambda: json.loads(say(desk.path, b"\n")) == STATUS)


def test_who_finds_the_daemon_busy_for_a_moment_asks_again(tmp_path: Path) -> None:
    path = socket_path(tmp_path / "edged.db")
    busy = {"v": 1, "ok": False, "error": "busy with other clients; ask again in a moment"}
    answers = iter([busy, busy, STATUS, busy, {"v": 1, "ok": True}])
    server = LineServer("status", path, lambda _: json.dumps(next(answers)).encode(), use="the test")
    server.open()
    server.start()
    try:
        assert ask(path) == STATUS
        assert request(path, "reload")["ok"] is True
    finally:
        assert server.stop(PATIENCE_S)


def test_a_full_queue_answers_busy_at_once(desk: Desk) -> None:
    answers: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(desk.commands.ask(Command("reload", {}))))
        for _ in range(MOST_ASKED + 3)
    ]
    for thread in threads:
        thread.start()
    assert until(lambda: len(answers) == 3), "these do not wait"
    assert all("busy" in str(answer["error"]) for answer in answers)
    desk.begin()
    assert until(lambda: len(answers) == MOST_ASKED + 3)
    assert sum(answer["ok"] for answer in answers) == MOST_ASKED
    for thread in threads:
        thread.join(PATIENCE_S)


def test_a_main_thread_that_does_not_come_round_is_said_to_be_late(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands_module, "wait_s", lambda _: 0.05)
    answer = desk.commands.ask(Command("reload", {}))
    assert (answer["ok"], "may still be carried out" in str(answer["error"])) == (False, True)


def test_who_waits_when_the_daemon_stops_is_told_so_and_so_is_who_comes_late(desk: Desk) -> None:
    answers: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(request(desk.path, "reload")))
    waiting.start()
    assert until(lambda: not desk.commands._asked.empty())
    desk.commands.stop(desk.runtime)
    waiting.join(PATIENCE_S)
    answers.append(request(desk.path, "reload"))
    assert ["stopping" in str(answer["error"]) for answer in answers] == [True, True]


def test_a_line_that_came_too_late_is_sent_again_and_its_status_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    documents = iter([STATUS, {"v": 1, "ok": True, "error": None}, *[STATUS] * 9])
    path = tmp_path / "edged.db.sock"
    server = LineServer("late", path, lambda _: json.dumps(next(documents)).encode(), use="")
    server.open()
    server.start()
    assert request(path, "reload")["ok"]
    with pytest.raises(Unavailable, match="did not take reload"):
        request(path, "reload")
    assert server.stop(PATIENCE_S)


def test_what_is_attached_is_listed_for_one_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, begun = threading.Event(), threading.Event()

    def attached() -> list[Any]:
        begun.set()
        hold.wait(PATIENCE_S)
        return [SimpleNamespace(as_dict=lambda: {"uri": "v4l2:///dev/video0"})]

    monkeypatch.setattr("edged.daemon.requests.attached", attached)
    answers: list[dict[str, Any]] = []
    first = threading.Thread(target=lambda: answers.append(request(desk.path, "cameras")))
    first.start()
    assert begun.wait(PATIENCE_S)
    assert "busy" in str(request(desk.path, "cameras")["error"])
    hold.set()
    first.join(PATIENCE_S)
    assert answers == [{"v": 1, "cameras": [{"uri": "v4l2:///dev/video0"}]}]


VERBS = st.sampled_from(["status", "reload", "report", "selftest", "dance", "", 7, None])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
ALMOST = st.fixed_dictionaries({"verb": VERBS}, optional={"request_id": VALUES, "date": VALUES}).map(
    lambda content: json.dumps(content).encode(errors="surrogatepass")
)


@given(st.binary(max_size=400) | ALMOST)
@settings(deadline=None, max_examples=400)
def test_any_line_is_answered_with_one_document(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    desk = Desk(tmp_path_factory.getbasetemp())
    desk.commands.stop(desk.runtime)  # so that commands are answered without a main thread
    document = json.loads(desk.requests.answer(line.partition(b"\n")[0]), parse_constant=pytest.fail)
    assert document == STATUS or document["v"] == 1


@given(st.binary(max_size=300), st.booleans())
@settings(deadline=None, max_examples=25)
def test_any_bytes_over_the_wire_are_answered_or_left(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, finish: bool
) -> None:
    desk = Desk(tmp_path_factory.mktemp("wire"))
    desk.server.open()
    desk.server.start()
    desk.begin()
    try:
        answer = say(desk.path, text if finish else text + b"\n", finish=finish)
        assert json.loads(answer)
    finally:
        desk.end()


def test_the_client_needs_no_pictures_models_or_config() -> None:
    heavy = ["numpy", "cv2", "onnxruntime", "paho", "pydantic", "sqlite3", "sqlite_utils"]
    code = f"import sys, edged.daemon.client; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert said.stdout.strip() == "[]"


def test_a_client_that_takes_no_answer_is_cut_off_and_its_place_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "edged.db.sock"
    server = LineServer("status", path, lambda _: b"x" * 5_000_000, use="", busy=b"busy", most_clients=1)
    server.open()
    server.start()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(path))
        deaf.sendall(b"\n")
        assert until(lambda: say(path, b"\n") == b"busy")
        assert until(lambda: len(say(path, b"\n")) == 5_000_000), "it was cut off"
    assert server.stop(PATIENCE_S)


def test_clients_one_after_the_other_are_answered_by_the_same_thread(tmp_path: Path) -> None:
    path, threads = tmp_path / "edged.db.sock", set[str]()

    def answer(_: bytes) -> bytes:
        threads.add(f"{threading.get_ident()} {threading.current_thread().native_id}")
        return b"x"

    server = LineServer("status", path, answer, use="")
    server.open()
    server.start()
    for _ in range(50):
        assert say(path, b"\n") == b"x"
        time.sleep(0.002)
    assert len(threads) <= 3, "one that has just answered may not be waiting yet"
    assert server.stop(PATIENCE_S)
    assert until(lambda: not [thread for thread in threading.enumerate() if thread.name == "status-client"])
