"""Clients that are slow, many, or go away in the middle: the console goes on answering others."""

import contextlib
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from support.console import Console
from support.mosquitto import until
from support.unwatched import own_mb

from edged.console.server import MOST_IDLE, REQUEST_S
from edged.store import Store


@pytest.fixture
def console(tmp_path):
    with Console(tmp_path) as console:
        yield console.start()


def connect(console):
    return socket.create_connection(("127.0.0.1", console.port), timeout=60)


def is_closed(client):
    """Whether the other side has ended it."""
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_thousand_connections_shut_nobody_out(console):
    browser = console.claimed()
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(connect(console))
            client.sendall(b"GET / HTTP/1.1\r\n")
            if number % 100 == 0:
                assert browser.get("/").status == 200
        assert browser.get("/").status == 200
        assert len(list(Path(f"/proc/{console.pid}/fd").iterdir())) < MOST_IDLE + 60
    assert browser.get("/").status == 200


def test_who_sends_no_whole_request_is_given_up_and_others_are_answered_meanwhile(console):
    browser = console.claimed()
    with connect(console) as silent, connect(console) as slow:
        began = time.monotonic()

        def trickle():
            with contextlib.suppress(OSError):
                for letter in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1000:
                    slow.send(bytes([letter]))
                    time.sleep(0.2)

        threading.Thread(target=trickle, daemon=True).start()
        while time.monotonic() - began < 2:
            assert browser.get("/").status == 200
        assert not is_closed(silent)
        assert until(lambda: is_closed(silent) and is_closed(slow), 4 * REQUEST_S)


def test_a_body_that_never_comes_whole_is_given_up(console):
    browser = console.claimed()
    with connect(console) as slow:
        head = (
            f"POST /logout HTTP/1.1\r\nHost: localhost\r\nCookie: {browser.cookie}\r\nContent-Length: 100\r\n\r\ncsrf="
        )
        slow.sendall(head.encode())
        slow.settimeout(60)
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_bodies_that_never_come_whole_do_not_pile_up(console):
    browser = console.claimed()
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\npassword="
    with contextlib.ExitStack() as stack:
        for _ in range(4 * MOST_IDLE):
            stack.enter_context(connect(console)).sendall(head)
        assert browser.get("/").status == 200
        assert len(list(Path(f"/proc/{console.pid}/fd").iterdir())) < MOST_IDLE + 60
    assert "Traceback" not in console.log


def test_a_request_that_is_no_http_and_a_head_without_end_are_refused(console):
    with connect(console) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    with connect(console) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000)
        with contextlib.suppress(OSError):
            assert client.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")
    assert console.browser().get("/claim").status == 200
    assert "Traceback" not in console.log


def test_a_client_that_leaves_in_the_middle_costs_nothing(console):
    browser = console.claimed()
    for _ in range(50):
        with connect(console) as client:
            client.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {browser.cookie}\r\n\r\n".encode())
    assert browser.get("/").status == 200
    assert "Traceback" not in console.log


BUSY_HOUR = 20_000
BUSY_MS = 1_790_935_200_000
"""At 10:00 UTC on 2 October 2026."""
MOST_GROWTH_MB = 5.0
PAGES = ("/", "/events", "/health", "/camera/door")


def test_neither_many_requests_nor_an_hour_full_of_passages_make_the_console_grow(tmp_path):
    """What it reads at once is bounded. All rows of such an hour would be 30 MB."""
    with Console(tmp_path) as console:
        Store(console.database).close()
        votes = '{"correct":5,"incorrect":0,"none":1,"uncertain":1}'
        with contextlib.closing(sqlite3.connect(console.database)) as connection, connection:
            connection.executemany(
                "INSERT INTO encounters VALUES (?,'door',1,?,?,'none',0.9,?,30,60,1,1,NULL,NULL)",
                ((f"e{n:06d}", BUSY_MS + n, BUSY_MS + n + 4000, votes) for n in range(BUSY_HOUR)),
            )
            connection.execute(
                "INSERT INTO events SELECT encounter_id, 'mask', camera, track, state, 0.9, votes, first_seen, last_seen,"
                " 'left', 1, '{}', 2, 2, NULL, NULL FROM encounters"
            )
        browser = console.start().claimed()
        for path in (*PAGES, "/reports/2026-10-01"):
            assert browser.get(path).status == 200
        before_mb = own_mb(console.pid)
        assert browser.get("/reports/2026-10-02?as=json").json["encounters"] == BUSY_HOUR
        assert own_mb(console.pid) - before_mb < MOST_GROWTH_MB
        for _ in range(50):
            for path in PAGES:
                browser.get(path)
        assert own_mb(console.pid) - before_mb < MOST_GROWTH_MB
