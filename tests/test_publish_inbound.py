"""Nothing that arrives hurts: a length is looked at before its body is read, and any payload is answered or ignored."""

import json
import resource
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.mosquitto import (
    Mosquitto,
    Subscriber,
    make_certificates,
    needs_mosquitto,
    publish,
    until,
)
from support.payloads import own
from support.publishing import MemoryOutbox, fast, publishing
from support.scripted_broker import Peer, ScriptedBroker

from edged.publish import Command, Refusal, result
from edged.publish.commands import parse_command
from edged.publish.sockets import LARGEST_PACKET_BYTES, MOST_SKIPPED_BYTES, BoundedSocket, TooLong

COMMAND = "edged/dev1/cmd/report"
MEGABYTE = 1 << 20


def encoded(length: int) -> bytes:
    data = b""
    while True:
        length, low = divmod(length, 128)
        data += bytes([low | (128 if length else 0)])
        if not length:
            return data


def message(topic: str, payload: bytes, mid: int = 7, version: int = 4) -> bytes:
    """A PUBLISH of QoS 1."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big") + b"\0" * (version == 5) + payload
    return b"\x32" + encoded(len(body)) + body


class Given:
    """A socket that holds these bytes, and gives as few at a time as it is told."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._most = data, most

    def recv(self, size: int) -> bytes:
        if not self._data:
            raise BlockingIOError
        part, self._data = self._data[: min(size, self._most)], self._data[min(size, self._most) :]
        return part


def read_packets(bounded: BoundedSocket, most_reads: int = 100_000) -> bytes:
    """As paho reads: a kind, a length byte by byte, the body."""
    read = b""
    idle = 0
    for _ in range(most_reads):
        try:
            read += bounded.recv(4096)
            idle = 0
        except BlockingIOError:
            idle += 1
            if idle > 40:
                break
    return read


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
@settings(deadline=None)
def test_packets_of_usual_length_pass_unchanged(bodies: list[bytes], most: int) -> None:
    stream = b"".join(b"\x30" + encoded(len(body)) + body for body in bodies)
    assert read_packets(BoundedSocket(Given(stream, most))) == stream  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [LARGEST_PACKET_BYTES + 1, 300_000, MOST_SKIPPED_BYTES])
def test_a_longer_packet_is_cut_and_the_next_one_follows(length: int) -> None:
    following = b"\x40\x02\x00\x07"
    body = bytes(range(256)) * (length // 256 + 1)
    stream = b"\x32" + encoded(length) + body[:length] + following
    read = read_packets(BoundedSocket(Given(stream, 5000)))  # type: ignore[arg-type]
    assert read == b"\x32" + encoded(LARGEST_PACKET_BYTES) + body[:LARGEST_PACKET_BYTES] + following


def test_what_would_take_too_long_to_skip_is_not_read_at_all() -> None:
    with pytest.raises(TooLong, match=r"250,000,000 bytes"):
        read_packets(BoundedSocket(Given(b"\x30" + encoded(250_000_000) + b"x" * 100, 100)))  # type: ignore[arg-type]


def answers(broker: ScriptedBroker) -> list[dict[str, object]]:
    return [json.loads(sent.payload) for sent in list(broker.published) if sent.topic.startswith("edged/dev1/cmd/")]


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("size", [5_000, 900_000])
def test_a_command_that_is_too_large_is_acknowledged_and_answered(version: str, size: int) -> None:
    number = 5 if version == "5" else 4
    acknowledged = threading.Event()

    def script(peer: Peer, connection: int) -> None:
        peer.accept()
        peer.send(message(COMMAND, b'{"a":"' + b"x" * size + b'"}', version=number))
        while True:
            kind, flags, body = peer.read()
            if kind == 4 and body[:2] == b"\0\x07":
                acknowledged.set()
            elif kind == 3:
                sent = peer._parse_publish(flags, body)
                peer._published.append(sent)
                peer.acknowledge(sent)
            elif kind == 8:
                peer.write(9, body[:2] + b"\0" * (number == 5) + b"\1")

    with ScriptedBroker(script) as broker, publishing(broker.port, version=version):
        assert acknowledged.wait(60)
        assert until(lambda: answers(broker))
        assert "longer than 4096 bytes" in str(answers(broker)[0]["error"])
        assert len(broker.connected_at) == 1


def test_a_packet_without_end_ends_the_connection_and_alerts_go_on() -> None:
    outbox = MemoryOutbox(3)
    floods: list[int] = []

    def script(peer: Peer, connection: int) -> None:
        peer.accept()
        while True:
            sent = peer.next_publish()
            peer.acknowledge(sent)
            if any(topic.startswith("edged/dev1/cmd/") for topic in peer.subscribed) and connection not in floods:
                floods.append(connection)
                peer.send(b"\x31" + encoded(250_000_000) + b"\0\x10edged/dev1/cmd/x" + b"y" * 100)

    timing = fast(first_delay_s=0.05, longest_delay_s=0.5, retry_first_s=5.0, outbox_first_s=60)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=timing) as publisher:
        assert until(lambda: not outbox.rows)
        publisher.retain(own("state", "s", retain=True))
        assert until(lambda: "250,000,000 bytes" in (publisher.problem or "") and publisher.connected)
        for number in range(10):
            publisher.retain(own("state", str(number), retain=True))
            seq = outbox.add()
            publisher.wake()
            assert until(lambda seq=seq: seq in outbox.acknowledged)
        assert len(floods) <= 3, "the wildcard, then each command, then neither for a while"


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_retained_message_of_50_mb_costs_no_memory_and_no_alert(tmp_path: Path, version: str) -> None:
    (tmp_path / "large").write_bytes(b"x" * 50 * MEGABYTE)
    outbox = MemoryOutbox(3)
    with Mosquitto(tmp_path / "broker") as broker:
        publish_file(broker.port, "edged/dev1/cmd/x", tmp_path / "large")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        timing = fast(acknowledge_s=10, retry_first_s=1.0)
        with publishing(broker.port, outbox, version=version, timing=timing) as publisher:
            assert until(lambda: not outbox.rows)
            if version == "3.1.1":
                assert until(lambda: "which is not read; delete what is retained" in (publisher.problem or ""))
            for _ in range(5):
                seq = outbox.add()
                publisher.wake()
                assert until(lambda seq=seq: seq in outbox.acknowledged)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024, "in KiB"


def publish_file(port: int, topic: str, file: Path) -> None:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, "-r", "-f", str(file)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)


@needs_mosquitto
def test_over_tls_too_a_long_packet_is_cut_and_the_next_one_read(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    (tmp_path / "large").write_bytes(b"x" * 700_000)
    with Mosquitto(tmp_path / "broker", tls=certificates) as broker:
        keys = {"host": "localhost", "tls": True, "ca_file": certificates.ca, "timing": fast(acknowledge_s=10)}
        with publishing(broker.port, **keys) as publisher:
            assert until(lambda: publisher.connected)
            for payload in (["-f", str(tmp_path / "large")], ["-m", '{"request_id":"9"}']):
                options = ["-h", "localhost", "-p", str(broker.port), "--cafile", str(certificates.ca)]
                command = ["mosquitto_pub", *options, "-q", "1", "-t", COMMAND, *payload]
                assert until(lambda command=command: subprocess.run(command, capture_output=True).returncode == 0)
            received: list[Command] = []
            assert until(lambda: received.extend(publisher.commands()) or received)
            assert received == [Command("report", {"request_id": "9"})]


@needs_mosquitto
def test_wrong_commands_are_answered_with_what_is_wrong_and_not_too_often(tmp_path: Path) -> None:
    wrong = [
        ("report", "not json", "not JSON"),
        ("report", '{"request_id":1e999}', "request_id"),
        ("report", '{"request_id":"\\ud800"}', "request_id"),
        ("selfdestruct", '{"request_id":"7"}', "unknown command"),
        ("reload", "x" * 5000, "longer than"),
    ]
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port, "edged/dev1/cmd/+/result") as subscriber,
        publishing(broker.port, timing=fast(acknowledge_s=10)) as publisher,
    ):
        assert until(lambda: publisher.connected)
        told = lambda: [json.loads(heard.payload) for heard in subscriber.received]  # noqa: E731
        assert until(lambda: publish(broker.port, COMMAND, "[]") or told())
        for verb, payload, said in wrong:
            publish(broker.port, f"edged/dev1/cmd/{verb}", payload)
            assert until(lambda said=said: any(said in answer["error"] for answer in told()))
        assert [answer["request_id"] for answer in told() if "unknown" in answer["error"]] == ["7"]
        assert not any(answer["ok"] for answer in told())
        for _ in range(20):
            publish(broker.port, COMMAND, "PRESS")
        assert len(told()) <= 10
        assert publisher.connected


# --- any bytes whatsoever ---------------------------------------------------------------------------------------------

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=400)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
ALMOST = st.dictionaries(st.sampled_from(["request_id", "date", "v"]), JSON, max_size=3).map(
    lambda content: json.dumps(content).encode(errors="surrogatepass")
)
VERB = st.sampled_from(["report", "reload", "restart", "selftest", "dance"])


def told(answer: Command | Refusal) -> str:
    return result({"ok": False, "error": getattr(answer, "error", None)}, answer).payload


@given(VERB, st.binary(max_size=300) | ALMOST)
@example("reload", b'{"request_id": 1e999}')
@example("reload", b'{"request_id": -1e999}')
@example("reload", b'{"request_id": "\\ud800"}')
@example("reload", b'{"request_id": "\\udfff\\ud800"}')
@example("reload", b'{"request_id": "\xed\xa0\x80"}')
@example("reload", b'{"request_id": NaN}')
@example("reload", b'{"request_id": ' + b"9" * 4000 + b"}")
@example("reload", b'{"request_id": ' + b"[" * 1500 + b"]" * 1500 + b"}")
@example("reload", b'{"request_id": ' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}")
@example("reload", b'{"request_id": 1, "request_id": 2}')
@example("reload", b'{"request_id": 1E400, "date": 1e-400}')
@example("report", b'{"date": "\\u0000"}')
@example("report", b'{"date": "9999-12-31"}')
@example("report", b"\xff\xfe{\x00}\x00")
@example("report", b"\xef\xbb\xbf{}")
@example("report", b"null")
@settings(deadline=None, max_examples=400)
def test_any_payload_is_a_command_or_refused_and_can_be_answered(verb: str, payload: bytes) -> None:
    answer = parse_command(f"cmd/{verb}", payload, retained=False)
    assert isinstance(answer, Command | Refusal)
    text = told(answer)
    json.loads(text, parse_constant=pytest.fail)
    assert len(text.encode()) < 3000


@given(st.text(max_size=40), st.binary(max_size=40), st.booleans())
@settings(deadline=None)
def test_any_topic_is_looked_at_without_an_exception(topic: str, payload: bytes, retained: bool) -> None:
    for whole in (topic, f"cmd/{topic}"):
        answer = parse_command(whole, payload, retained=retained)
        if answer is not None:
            told(answer).encode()
