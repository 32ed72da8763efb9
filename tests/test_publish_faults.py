"""What becomes of messages when the broker misbehaves: none is lost, none is deleted too early, none blocks the others."""

import contextlib
import threading
import time

import pytest
from support.mosquitto import until
from support.publishing import MemoryOutbox, fast, publishing
from support.scripted_broker import PUBACK, Peer, Published, ScriptedBroker

from edged.errors import StoreError


def events(broker: ScriptedBroker) -> list[str]:
    return [message.payload for message in broker.published if message.topic == "edged/dev1/events"]


def is_event(message: Published) -> bool:
    return message.topic == "edged/dev1/events"


def polite(peer: Peer, number: int) -> None:
    peer.accept()
    peer.serve()


def test_at_most_twenty_are_in_flight_and_each_acknowledgement_makes_room_for_one() -> None:
    outbox = MemoryOutbox(50)
    seen: list[int] = []

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        waiting = [peer.next_publish() for _ in range(20)]  # availability and 19 events
        with contextlib.suppress(TimeoutError):
            peer._sock.settimeout(0.2)
            peer.next_publish()
        seen.append(len(broker.published))
        peer._sock.settimeout(10)
        for message in waiting:
            peer.acknowledge(message)
            waiting.append(peer.next_publish()) if len(broker.published) < 40 else None
        peer.drain()

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=fast(acknowledge_s=10)):
        assert until(lambda: seen)
        assert seen == [20]
        assert until(lambda: len(broker.published) == 40)


def test_a_receive_maximum_narrows_the_window() -> None:
    outbox = MemoryOutbox(20)
    most: list[int] = []

    def script(peer: Peer, number: int) -> None:
        peer.accept(properties=b"\x21\x00\x03")  # receive maximum: 3
        for _ in range(3):
            peer.next_publish()
        peer._sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                peer.next_publish()
        most.append(len(broker.published))

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, version="5"):
        assert until(lambda: most)
        assert most[0] == 3


def test_nothing_is_deleted_before_the_broker_acknowledges() -> None:
    outbox = MemoryOutbox(3)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.serve(until=is_event)
        peer.drain()

    timing = fast(acknowledge_s=10, first_delay_s=0.05)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=timing):
        assert until(lambda: len(events(broker)) == 1)
        time.sleep(0.2)
        assert outbox.acknowledged == []
        assert len(outbox.rows) == 3


def test_a_swallowed_acknowledgement_makes_a_new_connection_and_the_message_comes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outbox = MemoryOutbox(3)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.serve(until=lambda message: number == 1 and message.payload == '{"n":2}')
        peer.serve()

    timing = fast(acknowledge_s=2.0)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=timing) as publisher:
        assert until(lambda: not outbox.rows)
        assert "not acknowledged" in caplog.text, "the problem itself is over in a moment"
        assert events(broker) == ['{"n":1}', '{"n":2}', '{"n":3}', '{"n":2}']
        assert until(lambda: publisher.problem is None)


def test_what_was_acknowledged_and_not_yet_deleted_is_not_sent_again() -> None:
    outbox = MemoryOutbox(5, delete=False)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.serve(until=lambda message: number < 3 and message.payload == '{"n":5}')

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox):
        assert until(lambda: len(outbox.acknowledged) == 5)
        assert [events(broker).count(f'{{"n":{n}}}') for n in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 3]


def test_acknowledgements_that_come_with_the_end_of_the_connection_count() -> None:
    outbox = MemoryOutbox(10)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        if number > 1:
            peer.serve()
        messages = [peer.next_publish() for _ in range(6)]  # availability and 5 events
        peer.send(b"".join(bytes([PUBACK << 4, 2, 0, message.mid]) for message in messages))

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox):
        assert until(lambda: not outbox.rows)
        assert [events(broker).count(f'{{"n":{n}}}') for n in range(1, 6)] == [1] * 5


def test_a_message_that_mqtt_cannot_carry_is_put_aside() -> None:
    outbox = MemoryOutbox(1)
    outbox.add(topic="camera/+/violation")
    outbox.add()
    with ScriptedBroker(polite) as broker, publishing(broker.port, outbox) as publisher:
        assert until(lambda: outbox.acknowledged == [1, 3])
        assert list(outbox.rows) == [2]
        assert until(lambda: "kept and sent again" in (publisher.problem or ""))
        assert len(broker.connected_at) == 1


def test_rows_written_while_connected_follow_without_repeats() -> None:
    outbox = MemoryOutbox(5, delete=False)
    with ScriptedBroker(polite) as broker, publishing(broker.port, outbox) as publisher:
        for _ in range(50):
            outbox.add()
            publisher.wake()
        assert until(lambda: len(outbox.acknowledged) == 55)
        outbox.add()
        assert until(lambda: len(outbox.acknowledged) == 56), "a row nobody spoke of is found by looking"
        assert len(events(broker)) == 56


def test_a_negative_acknowledgement_parks_the_message_and_the_next_connection_offers_it_again() -> None:
    outbox = MemoryOutbox(5)
    cut = threading.Event()

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        while True:
            message = peer.next_publish()
            refuse = number == 1 and message.payload == '{"n":2}'
            peer.acknowledge(message, 0x87 if refuse else 0x10)
            if number == 1 and message.payload == '{"n":5}':
                cut.wait(60)
                return

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, version="5") as publisher:
        assert until(lambda: outbox.acknowledged == [1, 3, 4, 5])
        assert until(lambda: "edged/#" in (publisher.problem or ""))
        assert publisher.connected
        assert list(outbox.rows) == [2]
        cut.set()
        assert until(lambda: not outbox.rows)
        assert until(lambda: publisher.problem is None)
        assert events(broker)[-1] == '{"n":2}'


def test_a_retained_value_the_broker_does_not_take_is_said() -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        while True:
            peer.acknowledge(peer.next_publish(), 0x87)

    with ScriptedBroker(script) as broker, publishing(broker.port, version="5") as publisher:
        assert until(lambda: "allow this user to write edged/#" in (publisher.problem or ""))
        assert publisher.connected


def test_a_parked_message_is_offered_again_after_a_while_on_the_same_connection() -> None:
    outbox = MemoryOutbox(3)
    refusals = iter([0x97])

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        while True:
            message = peer.next_publish()
            peer.acknowledge(message, next(refusals, 0) if message.payload == '{"n":1}' else 0)

    timing = fast(retry_first_s=0.3, poll_s=0.1)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, version="5", timing=timing):
        assert until(lambda: not outbox.rows)
        assert len(broker.connected_at) == 1


def test_a_message_that_breaks_every_connection_is_put_aside_and_the_others_get_through() -> None:
    outbox = MemoryOutbox(30)

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer.serve(until=lambda message: message.payload == '{"n":7}')

    timing = fast(first_delay_s=0.01, longest_delay_s=0.02, acknowledge_s=0.5)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=timing) as publisher:
        assert until(lambda: list(outbox.rows) == [7])
        assert len(broker.connected_at) <= 6
        outbox.add()
        publisher.wake()
        assert until(lambda: list(outbox.rows) == [7])
        assert "kept and sent again" in (publisher.problem or "")


def test_an_outbox_that_cannot_be_read_is_said_and_read_again() -> None:
    outbox = MemoryOutbox(3)
    outbox.broken = True
    with ScriptedBroker(polite) as broker, publishing(broker.port, outbox) as publisher:
        assert until(lambda: "outbox" in (publisher.problem or ""))
        assert publisher.connected
        outbox.broken = False
        assert until(lambda: not outbox.rows)
        assert len(broker.connected_at) == 1
        assert until(lambda: publisher.problem is None)


def test_an_acknowledgement_that_cannot_be_handed_on_costs_a_repeat_and_no_message() -> None:
    outbox = MemoryOutbox(3)
    trouble = iter([StoreError("full")])

    def acknowledge(seq: int) -> None:
        for error in trouble:
            raise error
        outbox.acknowledge(seq)

    with ScriptedBroker(polite) as broker, publishing(broker.port, outbox, acknowledge=acknowledge) as publisher:
        assert until(lambda: not outbox.rows)
        assert events(broker).count('{"n":1}') == 2
        assert until(lambda: publisher.connected)
