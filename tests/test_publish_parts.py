"""The publisher's parts without a network: commands, waits, what is handed in, what is sent next."""

import random

import pytest
from support.publishing import MemoryOutbox

from edged.publish import Command, Timing
from edged.publish.commands import parse_command
from edged.publish.delivery import WINDOW, Delivery
from edged.publish.outgoing import MOST_ONCE, MOST_TOPICS, Message, Outgoing
from edged.publish.pace import FLAPPING, Backoff
from edged.types import OutboxMessage


def test_a_command_is_a_known_verb_with_an_object() -> None:
    assert parse_command("cmd/report", b'{"request_id":"7"}', retained=False) == Command("report", {"request_id": "7"})
    assert parse_command("cmd/reload", b"", retained=False) == Command("reload", {})
    assert parse_command("cmd/restart", b"{}", retained=False) == Command("restart", {})


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("cmd/report", b"{}", True),
        ("cmd/dance", b"{}", False),
        ("cmd/report/result", b"{}", False),
        ("other/report", b"{}", False),
        ("report", b"{}", False),
        ("cmd/report", b"PRESS", False),
        ("cmd/report", b"[]", False),
        ("cmd/report", b"\xff", False),
        ("cmd/report", b'{"a":NaN}', False),
        ("cmd/report", b"[" * 4000, False),
        ("cmd/report", b'{"a":"' + b"x" * 5000 + b'"}', False),
    ],
)
def test_anything_else_is_no_command(topic: str, payload: bytes, retained: bool) -> None:
    assert parse_command(topic, payload, retained=retained) is None


def delays(backoff: Backoff, count: int) -> list[float]:
    result = []
    for _ in range(count):
        backoff.failed()
        result.append(backoff.delay_s)
    return result


def test_waits_double_up_to_a_minute_and_stay_there() -> None:
    random.seed(1)
    waits = delays(Backoff(Timing()), 1000)
    for wait, longest in zip(waits, [1, 2, 4, 8, 16, 32, *[60] * 994], strict=True):
        assert 0.8 * longest <= wait <= longest


def test_only_a_steady_connection_starts_the_waits_anew() -> None:
    backoff = Backoff(Timing())
    delays(backoff, 20)
    backoff.ended(Timing().steady_s)
    assert backoff.delay_s <= 1
    for count in range(1, 10):
        backoff.ended(5)
        assert backoff.flapping is (count >= FLAPPING)
    assert backoff.delay_s > 40
    backoff.ended(1000)
    assert not backoff.flapping


def test_two_devices_throwing_each_other_out_never_look_steady() -> None:
    assert Timing().steady_s > Timing().longest_delay_s


def test_a_retained_value_is_due_when_new_and_once_more_after_a_renewal() -> None:
    outgoing = Outgoing()
    assert outgoing.retain("state", "a", 1)
    assert outgoing.retain("state", "b", 1)
    assert not outgoing.retain("state", "b", 1)
    assert outgoing.take() == Message("state", "b", 1, retain=True)
    assert outgoing.take() is None
    outgoing.send("cmd/report/result", "x")
    outgoing.renew()
    assert outgoing.take() == Message("state", "b", 1, retain=True)
    assert outgoing.take() is None, "what was sent once is dropped"


def test_topics_and_single_messages_are_bounded() -> None:
    outgoing = Outgoing()
    assert [outgoing.retain(f"t{n}", "x", 1) for n in range(MOST_TOPICS + 5)].count(True) == MOST_TOPICS
    assert outgoing.retain("t0", "y", 1), "a known topic still changes"
    while outgoing.take():
        pass
    for n in range(MOST_ONCE + 5):
        outgoing.send("r", str(n))
    taken = [message.payload for message in iter(outgoing.take, None)]
    assert taken == [str(n) for n in range(5, MOST_ONCE + 5)]


def make_delivery(outbox: MemoryOutbox) -> Delivery:
    delivery = Delivery(outbox, poll_s=5, retry_refused_s=600)
    delivery.begin()
    return delivery


def take_all(delivery: Delivery, now: float = 0.0) -> list[int]:
    return [message.seq for message in iter(lambda: delivery.take(now), None)]


def test_a_window_in_order_then_one_for_each_acknowledgement() -> None:
    outbox = MemoryOutbox(300)
    delivery = make_delivery(outbox)
    assert take_all(delivery) == list(range(1, WINDOW + 1))
    for seq in range(1, 281):
        outbox.acknowledge(seq)
        delivery.acknowledged(seq)
        assert take_all(delivery) == [seq + WINDOW]


def test_new_messages_are_seen_when_told_or_after_a_while() -> None:
    outbox = MemoryOutbox(1)
    delivery = make_delivery(outbox)
    assert take_all(delivery) == [1]
    outbox.add()
    assert take_all(delivery) == []
    delivery.wake()
    assert take_all(delivery) == [2]
    outbox.add()
    assert take_all(delivery, now=5.1) == [3]


def test_after_a_lost_connection_what_was_in_flight_comes_again_one_by_one_then_all_at_once() -> None:
    outbox = MemoryOutbox(100, delete=False)
    delivery = make_delivery(outbox)
    take_all(delivery)
    for seq in (1, 2, 4):
        delivery.acknowledged(seq)
    delivery.end(now=0)
    delivery.begin()
    order = []
    while (message := delivery.take(0)) is not None:
        order.append(message.seq)
        delivery.acknowledged(message.seq)
        if delivery.window > 1:
            break
    assert order == [3, *range(5, 5 + WINDOW - 1)]
    assert len(take_all(delivery)) == WINDOW


def test_an_idle_connection_that_is_lost_leaves_the_window_wide() -> None:
    delivery = make_delivery(MemoryOutbox(0))
    take_all(delivery)
    delivery.end(now=0)
    assert delivery.window == WINDOW


def test_acknowledged_messages_are_forgotten_once_deleted() -> None:
    outbox = MemoryOutbox(0, delete=False)
    delivery = make_delivery(outbox)
    for _ in range(3000):
        seq = outbox.add()
        delivery.wake()
        assert take_all(delivery) == [seq]
        delivery.acknowledged(seq)
        del outbox.rows[seq]
        outbox.acknowledged[:] = [seq]
    assert len(delivery._acknowledged) <= 1002


def test_a_broker_that_refuses_everything_is_not_told_everything() -> None:
    delivery = make_delivery(MemoryOutbox(1500))
    refused = 0
    while (message := delivery.take(0)) is not None:
        delivery.refused(message.seq, 0)
        refused += 1
    assert refused == 1000
    assert take_all(delivery, now=599) == []
    assert take_all(delivery, now=601) == list(range(1, WINDOW + 1))


def test_messages_in_flight_are_not_repeated_when_refused_ones_are_offered_again() -> None:
    delivery = make_delivery(MemoryOutbox(4))
    assert take_all(delivery) == [1, 2, 3, 4]
    delivery.refused(2, now=0)
    delivery.acknowledged(3)
    assert take_all(delivery, now=601) == [2]


def test_a_message_committed_while_the_outbox_is_being_read_is_not_overlooked() -> None:
    class Busy(MemoryOutbox):
        def outbox_after(self, seq: int, limit: int) -> list[OutboxMessage]:
            found = super().outbox_after(seq, limit)
            if len(self.rows) < 3:
                self.add()
                delivery.wake()
            return found

    delivery = Delivery(Busy(), poll_s=5, retry_refused_s=600)
    delivery.begin()
    assert take_all(delivery) == [1, 2, 3]
