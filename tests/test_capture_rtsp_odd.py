"""Network cameras with odd habits: one that has only UDP, digests that FFmpeg does not speak; each is told truthfully."""

import socket
import threading
from contextlib import suppress

import pytest
from support.cameras import goes, live_camera
from support.mosquitto import until
from support.plain_rtsp import PASSWORD, USER, PlainRtspServer, transport_stream

from edged.capture.opencv import digest_algorithms, unsupported_algorithms


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    return transport_stream(tmp_path_factory.mktemp("stream"))


@pytest.mark.parametrize(
    ("transport", "offered", "asked"),
    [
        ("auto", ("tcp", "udp"), ["tcp"]),
        ("auto", ("udp",), ["tcp", "udp"]),
        ("udp", ("tcp", "udp"), ["udp"]),
        ("tcp", ("tcp", "udp"), ["tcp"]),
    ],
)
def test_pictures_travel_as_asked_and_over_udp_where_tcp_is_refused(stream, transport, offered, asked):
    with (
        PlainRtspServer(stream, offered) as server,
        live_camera(f"rtsp://{server.address}", transport=transport) as (worker, inbox),
    ):
        assert goes(worker, "online")
        assert inbox.take(30.0).image.shape == (48, 64, 3)
        assert server.asked[: len(asked)] == asked


@pytest.mark.parametrize(
    ("transport", "offered", "remedy"),
    [
        ("tcp", ("udp",), 'refuses TCP; set transport = "auto" or "udp"'),
        ("udp", ("tcp",), 'refuses UDP; set transport = "auto" or "tcp"'),
        ("auto", (), "neither over TCP nor over UDP"),
    ],
)
def test_a_camera_that_has_no_such_transport_names_the_key(stream, transport, offered, remedy):
    with (
        PlainRtspServer(stream, offered) as server,
        live_camera(f"rtsp://{server.address}", transport=transport) as (worker, _),
    ):
        assert until(lambda: remedy in worker.state().reason), worker.state()


@pytest.mark.parametrize(
    ("algorithms", "password", "reason"),
    [
        (["MD5"], PASSWORD, None),
        (["SHA-256", "MD5"], PASSWORD, None),
        (["MD5"], "wrong", "wrong user or password"),
        (["SHA-256"], PASSWORD, "does not support (it offers SHA-256)"),
        (["MD5", "SHA-256"], PASSWORD, "does not support (it offers MD5, SHA-256)"),
    ],
)
def test_a_digest_that_cannot_be_spoken_is_no_wrong_password(stream, tmp_path, algorithms, password, reason, caplog):
    (tmp_path / "door").write_text(f"{USER}:{password}\n")
    with (
        PlainRtspServer(stream, algorithms=algorithms) as server,
        live_camera(f"rtsp://{server.address}", credentials_file=tmp_path / "door") as (worker, _),
    ):
        if reason is None:
            assert goes(worker, "online")
        else:
            assert until(lambda: reason in worker.state().reason), worker.state()
    assert password not in caplog.text.replace("wrong user or password", "")


def test_a_challenge_is_read_whatever_its_spelling():
    answer = (
        'RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Basic realm="x"\nwww-authenticate: Digest realm="a", nonce="b"\n'
        'WWW-Authenticate: digest realm="algorithm", algorithm="SHA-256", nonce="b"\n'
    )
    assert digest_algorithms(answer) == ["MD5", "SHA-256"]
    assert digest_algorithms("RTSP/1.0 200 OK\n") == []


def test_where_nothing_listens_or_no_tls_is_spoken_nothing_is_offered(stream):
    with PlainRtspServer(stream, algorithms=["SHA-256"]) as server:
        assert unsupported_algorithms(f"rtsp://u:p@{server.address}") == ["SHA-256"]
        assert unsupported_algorithms(f"rtsps://{server.address}") == []
        gone = server.address
    assert unsupported_algorithms(f"rtsp://{gone}") == []


def test_a_camera_that_answers_a_letter_at_a_time_is_listened_to_no_longer_than_any_other(monkeypatch):
    monkeypatch.setattr("edged.capture.opencv.PATIENCE_S", 0.5)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                while not over.wait(0.1):
                    connection.sendall(b"x")

        camera = threading.Thread(target=trickle)
        camera.start()
        ends = threading.Timer(30, over.set)
        ends.start()
        try:
            assert unsupported_algorithms(f"rtsp://127.0.0.1:{server.getsockname()[1]}/") == []
            assert not over.is_set()
        finally:
            over.set()
            ends.cancel()
            camera.join(20)
