"""Connections to a name with any number of addresses come about, or fail, in a limited time."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.publishing import mqtt_config
from support.receivers import HandTime, Receiver, alert, settings

from edged import connections
from edged.connections import MOST_WAITS, reach
from edged.deliver.webhook import Webhook
from edged.errors import Unavailable
from edged.publish.connection import Connection
from edged.publish.problems import Disconnected
from edged.publish.sockets import Waker

EACH_S = 0.5
MANY = 60
"""So many addresses that, at `EACH_S` for each, no slow machine takes the limited time for the unlimited one."""
AT_MOST_S = MANY * EACH_S / 2

Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]


def at(port: int) -> Found:
    """As the name server's answer has it."""
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))


@pytest.fixture
def black_hole() -> Iterator[Found]:
    """An address that answers nothing, as behind a firewall that drops: its queue is full, and nobody takes from it."""
    with ExitStack() as open_ones:
        server = open_ones.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            client = open_ones.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield at(server.getsockname()[1])


def answer_with(monkeypatch: pytest.MonkeyPatch, found: list[Found]) -> None:
    """The name server's answer to every question."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_the_broker_has_a_limited_time_however_many_of_its_addresses_say_nothing(
    monkeypatch: pytest.MonkeyPatch, black_hole: Found
) -> None:
    waker = Waker()
    connection = Connection(
        mqtt_config(1883, host="broker.example"), "me", None, will=None, connect_s=EACH_S, waker=waker
    )
    answer_with(monkeypatch, [black_hole] * MANY)
    began = time.monotonic()
    with pytest.raises(Disconnected, match=r"broker\.example:1883: no answer; check mqtt\.host"):
        connection.dial()
    assert MOST_WAITS * EACH_S * 0.9 <= time.monotonic() - began < AT_MOST_S
    waker.close()


def test_so_has_the_receiver_of_a_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, black_hole: Found) -> None:
    monkeypatch.setattr(connections, "CONNECT_S", EACH_S)
    hook = Webhook(settings(tmp_path, webhook={"url": "http://hook.example:8000/", "allow_http": True}).webhook, "hall")
    answer_with(monkeypatch, [black_hole] * MANY)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"hook\.example:8000: no answer; check webhook\.url"):
        hook.send([alert("webhook")])
    assert time.monotonic() - began < AT_MOST_S


def test_an_address_that_answers_is_found_behind_one_that_does_not(
    monkeypatch: pytest.MonkeyPatch, black_hole: Found
) -> None:
    with Receiver() as receiver:
        answer_with(monkeypatch, [black_hole, at(receiver.port)])
        with reach("receiver.example", 1, 2.0) as connection:
            assert connection.getpeername()[1] == receiver.port
            assert connection.gettimeout() == 2.0


@pytest.mark.parametrize("count", [1, 4, 9, 1000])
def test_every_address_has_its_turn_and_all_of_them_a_limited_time(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    waits, now = [], HandTime()

    def silent(made: socket.socket, address: object, patience_s: float, later_s: float) -> socket.socket:
        made.close()
        waits.append(patience_s)
        now.rest(patience_s)
        raise TimeoutError

    monkeypatch.setattr(connections, "_connected", silent)
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=now))
    answer_with(monkeypatch, [at(1)] * count)
    with pytest.raises(TimeoutError):
        reach("broker.example", 1883, 10.0)
    assert len(waits) == count
    assert max(waits) <= 10.0
    assert sum(waits) == pytest.approx(10.0 * min(count, MOST_WAITS))


def test_what_the_last_address_says_is_why_and_no_socket_is_left_open(
    monkeypatch: pytest.MonkeyPatch, black_hole: Found
) -> None:
    made: list[socket.socket] = []

    class Kept(socket.socket):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Kept)
    answer_with(monkeypatch, [black_hole, at(1)])
    with pytest.raises(ConnectionRefusedError):
        reach("broker.example", 1883, 0.2)
    assert [one.fileno() for one in made] == [-1, -1]
