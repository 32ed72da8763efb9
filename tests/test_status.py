"""The status socket answers every question with one document, and outlives odd neighbours."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import until

from edged.daemon.client import ask, socket_path
from edged.errors import Unavailable
from edged.sockets import LineServer
from edged.store import Store


def serving(path: Path, **answer: Any) -> LineServer:
    return LineServer("status", path, lambda _: json.dumps(answer).encode(), use="`edged status`")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return socket_path(tmp_path / "edged.db")


@pytest.fixture
def server(path: Path):
    running = serving(path, mode="normal", long="x" * 500_000)
    running.open()
    running.start()
    yield running
    assert running.stop(60)
    assert running.failure is None


def test_the_socket_lies_beside_the_database(path: Path) -> None:
    assert path.name == "edged.db.sock"


@pytest.mark.usefixtures("server")
def test_every_question_is_answered(path: Path) -> None:
    for _ in range(20):
        assert ask(path)["mode"] == "normal"


@pytest.mark.usefixtures("server")
def test_several_ask_at_once(path: Path) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(path)["mode"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == ["normal"] * 4


@pytest.mark.usefixtures("server")
def test_one_who_asks_and_does_not_listen_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(path))
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(path))
        assert ask(path)["mode"] == "normal"


def test_the_socket_of_a_killed_daemon_is_replaced_and_goes_with_its_successor(path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with pytest.raises(Unavailable, match="no daemon answers"):
        ask(path)
    server = serving(path, mode="normal")
    server.open()
    server.start()
    assert ask(path) == {"mode": "normal"}
    assert server.stop(60)
    assert not path.exists()


def test_a_socket_that_was_deleted_is_made_anew(
    server: LineServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(path)["mode"] == "normal"
    path.unlink()
    assert until(path.is_socket)
    assert until(lambda: answers(path))
    assert "was deleted; it is created again" in caplog.text


def answers(path: Path) -> bool:
    try:
        return ask(path)["mode"] == "normal"
    except Unavailable:
        return False


def test_two_databases_have_two_sockets(tmp_path: Path) -> None:
    names = ["edged", "edged.db", "edged.sqlite", "edged.sqlite.db"]
    assert len({socket_path(tmp_path / name) for name in names}) == len(names)


def test_a_living_daemons_socket_is_left_alone(
    server: LineServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = serving(path, mode="late")
    late.open()
    late.start()
    assert "another program answers there" in caplog.text
    assert late.stop(60)
    assert ask(path)["mode"] == "normal"


def test_a_daemon_that_stops_leaves_a_socket_that_is_not_its_own(path: Path) -> None:
    server = serving(path)
    server.open()
    server.stopping.set()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        server.start()
        assert server.stop(60)
        assert path.is_socket()


def test_a_daemon_without_its_socket_is_not_said_to_be_stopped(path: Path) -> None:
    database = path.with_suffix("")
    with Store(database), pytest.raises(Unavailable, match="one is writing") as refusal:
        ask(path)
    assert "systemctl start" not in str(refusal.value)


def test_without_a_daemon_the_remedy_is_named(path: Path) -> None:
    with pytest.raises(Unavailable, match="systemctl start edged") as refusal:
        ask(path)
    assert "\n" not in str(refusal.value)


def test_what_another_program_answers_is_not_taken_for_the_daemon(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unavailable, match="no daemon answers"):
            ask(path)
        thread.join(60)


def test_a_path_too_long_for_a_socket_costs_only_the_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = serving(tmp_path / ("x" * 120) / "edged.db.sock")
    server.open()
    server.start()
    assert until(server.is_alive)
    assert "use a shorter store.path" in caplog.text
    assert server.stop(60)
    assert server.failure is None
