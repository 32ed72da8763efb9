"""What becomes of the connection when the broker misbehaves: the thread neither dies, nor spins, nor lies."""

import contextlib
import logging
import socket
import threading
import time
from types import SimpleNamespace

import pytest
from support.mosquitto import until
from support.payloads import own
from support.publishing import FAST, MemoryOutbox, end, fast, mqtt_config, publishing
from support.scripted_broker import DISCONNECT, PUBACK, PUBLISH, Peer, Published, ScriptedBroker

from edged.publish import Publisher
from edged.publish.publisher import DIALLING_S
from edged.publish.timing import DEFAULT_TIMING


def events(broker: ScriptedBroker) -> list[str]:
    return [message.payload for message in broker.published if message.topic == "edged/dev1/events"]


def is_event(message: Published) -> bool:
    return message.topic == "edged/dev1/events"


def polite(peer: Peer, number: int) -> None:
    peer.accept()
    peer.serve()


def test_every_connection_starts_with_the_outbox_then_online_then_values_and_discovery_last() -> None:
    said: list[list[str]] = []

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        said.append([])
        while len(said[-1]) < 5:
            message = peer.next_publish()
            said[-1].append(message.payload)
            if message.payload == '{"d":1}':
                outbox.add()
            peer.acknowledge(message)

    outbox = MemoryOutbox(1)
    timing = fast(longest_delay_s=0.1, outbox_first_s=60)
    with ScriptedBroker(script) as broker:
        config = mqtt_config(broker.port)
        publisher = Publisher(
            config, "dev1", outbox, outbox.acknowledge, discovery={"d": 1}, password=None, timing=timing
        )
        publisher.retain(own("state", "s", retain=True))
        publisher.retain(own("camera/door/status", "c", retain=True))
        publisher.start()
        assert until(lambda: len(said) >= 3 and len(said[2]) == 5)
        end(publisher)
    assert said[:3] == [[f'{{"n":{number}}}', "online", "s", "c", '{"d":1}'] for number in (1, 2, 3)]


def test_a_connection_given_up_is_left_without_a_farewell_so_that_the_will_speaks() -> None:
    kinds: list[list[int]] = []

    def script(peer: Peer, number: int) -> None:
        kinds.append(peer.kinds)
        peer.accept()
        with contextlib.suppress(ConnectionError):
            while True:
                peer.read()
        time.sleep(0.05)

    with ScriptedBroker(script) as broker, publishing(broker.port, timing=fast(acknowledge_s=0.6)):
        assert until(lambda: len(kinds) >= 2)
        assert PUBLISH in kinds[0]
        assert DISCONNECT not in kinds[0]


def break_off(peer: Peer) -> None:
    peer.next_publish()


def cut_within_a_packet(peer: Peer) -> None:
    peer.next_publish()
    peer.send(bytes([PUBACK << 4, 2, 0]))


def reset(peer: Peer) -> None:
    peer.next_publish()
    peer.reset()


def garbage(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)


def endless_length(peer: Peer) -> None:
    peer.send(b"\x30\xff\xff\xff\xff\xff")


def empty_acknowledgement(peer: Peer) -> None:
    peer.send(bytes([PUBACK << 4, 0]))


def truncated_publish(peer: Peer) -> None:
    peer.send(b"\x32\x03\x00\xff\x41")


def topic_that_is_not_text(peer: Peer) -> None:
    peer.send(b"\x30\x06\x00\x03\xff\xfe\xfdx")


def unknown_acknowledgement(peer: Peer) -> None:
    peer.send(bytes([PUBACK << 4, 2, 0xFF, 0xF0]))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize(
    "fault",
    [
        break_off,
        cut_within_a_packet,
        reset,
        garbage,
        endless_length,
        empty_acknowledgement,
        truncated_publish,
        topic_that_is_not_text,
        unknown_acknowledgement,
    ],
)
def test_after_any_fault_the_same_thread_delivers_everything(fault, version: str) -> None:
    outbox = MemoryOutbox(30)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        if number <= 2:
            fault(peer)
            return
        peer.serve()

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, version=version) as publisher:
        thread = publisher._thread
        assert until(lambda: not outbox.rows and len(broker.connected_at) >= 3)
        assert publisher._thread is thread
        assert thread.is_alive()
        assert list(dict.fromkeys(events(broker))) == [f'{{"n":{n}}}' for n in range(1, 31)]
        assert until(lambda: publisher.problem is None)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("step", ["connect", "half"])
def test_a_broker_that_hangs_up_before_answering_is_not_connected(step: str, version: str) -> None:
    def script(peer: Peer, number: int) -> None:
        peer.read()
        if step == "half":
            peer.send(b"\x20\x02\x00")

    with ScriptedBroker(script) as broker, publishing(broker.port, version=version) as publisher:
        assert until(lambda: len(broker.connected_at) >= 3)
        assert not publisher.connected
        assert "mqtt.version" in (publisher.problem or "")


def test_a_broker_that_never_answers_is_given_up() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.drain()

    timing = fast(connect_s=0.3, first_delay_s=0.05, longest_delay_s=0.1)
    with ScriptedBroker(script) as broker, publishing(broker.port, timing=timing) as publisher:
        assert until(lambda: len(broker.connected_at) >= 2)
        assert "no MQTT broker answers" in (publisher.problem or "")


@pytest.mark.parametrize(
    ("version", "code", "remedy"),
    [
        ("3.1.1", 1, "mqtt.version"),
        ("3.1.1", 2, "device.id"),
        ("3.1.1", 3, "unavailable"),
        ("3.1.1", 4, "mqtt.password_file"),
        ("3.1.1", 5, "mqtt.password_file"),
        ("5", 0x80, "broker's log"),
        ("5", 0x84, '"3.1.1"'),
        ("5", 0x85, "device.id"),
        ("5", 0x86, "mqtt.password_file"),
        ("5", 0x87, "mqtt.password_file"),
        ("5", 0x89, "busy"),
        ("5", 0x8A, "Banned"),
        ("5", 0x9F, "broker's log"),
    ],
)
def test_a_refusal_is_not_connected_says_the_remedy_once_and_slows_down(
    version: str, code: int, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def script(peer: Peer, number: int) -> None:
        peer.accept(code)
        with contextlib.suppress(TimeoutError):
            peer._sock.settimeout(0.05)
            peer.next_publish()

    timing = fast(first_delay_s=0.02, longest_delay_s=0.1)
    with ScriptedBroker(script) as broker:
        with publishing(broker.port, MemoryOutbox(1), timing=timing, version=version, username="u") as publisher:
            assert until(lambda: len(broker.connected_at) >= 4)
            assert not publisher.connected
            assert remedy in (publisher.problem or "")
        assert broker.published == []
    gaps = [after - before for before, after in zip(broker.connected_at, broker.connected_at[1:], strict=False)]
    assert all(gap >= 0.8 * expected for gap, expected in zip(gaps, [0.02, 0.04, 0.08], strict=False))
    assert len(caplog.records) == 1


def test_a_refused_subscription_is_said() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        while True:
            kind, _, body = peer.read()
            if kind == 8:
                peer.write(9, body[:2] + b"\x80")

    timing = fast(acknowledge_s=10)
    with ScriptedBroker(script) as broker, publishing(broker.port, timing=timing) as publisher:
        assert until(lambda: "commands do not arrive" in (publisher.problem or ""))


def serve_for_a_moment(peer: Peer) -> None:
    """Answer everything, and leave nothing unanswered."""
    peer._sock.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        peer.serve()


def test_connections_that_are_accepted_and_lost_are_called_flapping_and_slow_down() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        serve_for_a_moment(peer)

    timing = fast(first_delay_s=0.02, longest_delay_s=0.3, steady_s=60.0)
    with ScriptedBroker(script) as broker, publishing(broker.port, timing=timing) as publisher:
        assert until(lambda: "device.id" in (publisher.problem or ""))
        assert until(lambda: len(broker.connected_at) >= 7)
        gaps = [b - a for a, b in zip(broker.connected_at, broker.connected_at[1:], strict=False)]
        assert gaps[5] >= 0.8 * 0.3


def test_neither_starting_nor_handing_in_nor_stopping_waits_for_a_silent_broker() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.drain()

    with ScriptedBroker(script) as broker, publishing(broker.port, timing=DEFAULT_TIMING) as publisher:
        began = time.monotonic()
        publisher.retain(own("state", "{}", retain=True))
        publisher.wake()
        publisher.send(own("cmd/report/result", "{}"))
        assert publisher.commands() == []
        assert until(lambda: broker.connected_at)
        publisher.stop(60)
        assert time.monotonic() - began < 0.8 * DEFAULT_TIMING.connect_s
        assert not publisher.is_alive()


def test_stop_waits_for_what_is_in_flight_and_not_for_ever() -> None:
    outbox = MemoryOutbox(1)
    hold = threading.Event()

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.serve(until=is_event)
        hold.wait(60)
        peer.acknowledge(broker.published[-1])
        peer.serve(until=lambda message: message.payload == "offline")
        peer.drain()

    timing = fast(acknowledge_s=30)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=timing) as publisher:
        assert until(lambda: events(broker))
        threading.Timer(0.2, hold.set).start()
        began = time.monotonic()
        publisher.stop(5)
        assert 3.5 < time.monotonic() - began < 60, "the farewell was not acknowledged"
        assert outbox.acknowledged == [1]
        assert broker.published[-1].payload == "offline"


def test_the_beat_goes_on_connected_or_not() -> None:
    with ScriptedBroker(polite) as broker, publishing(broker.port) as publisher:
        assert until(lambda: publisher.connected)
        before = publisher._beat_s
        assert until(lambda: publisher._beat_s > before)
    with socket.socket() as taken:  # where nobody listens, and nobody else begins to
        taken.bind(("127.0.0.1", 0))
        config = mqtt_config(taken.getsockname()[1])
        publisher = Publisher(config, "dev1", MemoryOutbox(), print, discovery=None, password=None, timing=FAST)
        publisher.start()
        before = publisher._beat_s
        beats = until(lambda: publisher._beat_s != before)  # that of a call that may last counts as a later one
        end(publisher)
        assert beats


def test_a_publisher_that_hangs_is_found_stuck_but_not_while_it_dials(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedBroker(polite) as broker, publishing(broker.port) as publisher:
        assert until(lambda: publisher.connected)
        monkeypatch.setattr(publisher, "beat", lambda *_: None)
        Publisher.beat(publisher, DIALLING_S)
        late = time.monotonic() + DIALLING_S
        monkeypatch.setattr("edged.worker.time", SimpleNamespace(monotonic=lambda: late))
        assert not publisher.is_stuck(), "a name server may hold it up for so long"
        late += publisher.stuck_after_s + 60
        assert publisher.is_stuck()


def test_a_session_taken_over_is_said_as_the_broker_says_it() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.next_publish()
        peer.send(b"\xe0\x06\x8e\x04\x1f\x00\x01x")  # with a reason string: paho 2.1 reads no shorter ones

    told = "another client uses the client id edged-dev1 too; give each device its own device.id"
    with ScriptedBroker(script) as broker, publishing(broker.port, version="5") as publisher:
        assert until(lambda: publisher.problem == told)
        assert until(lambda: len(broker.connected_at) >= 7)
        assert publisher.problem == told
