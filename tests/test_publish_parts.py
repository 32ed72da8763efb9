"""The publisher's parts without a network: commands, waits, what is handed in, what is sent next."""

import random
from itertools import pairwise

import pytest
from support.publishing import MemoryOutbox, parcel

from edged.publish import Command, Timing
from edged.publish.commands import Refusal, parse_command
from edged.publish.delivery import MOST_ONCE, MOST_TOPICS, Delivery, Message, Outgoing
from edged.publish.packets import Packet
from edged.publish.problems import Disconnected
from edged.publish.quarantine import MOST_CASES, WINDOW, Quarantine
from edged.publish.reconnect import FLAPPING, MOST_PROMPT, Backoff, RateLimit


def test_a_command_is_a_known_verb_with_an_object() -> None:
    assert parse_command("cmd/report", b'{"request_id":"7"}', retained=False) == Command("report", {"request_id": "7"})
    assert parse_command("cmd/reload", b"", retained=False) == Command("reload", {})
    assert parse_command("cmd/restart", b"{}", retained=False) == Command("restart", {})


@pytest.mark.parametrize(
    ("topic", "payload", "retained"),
    [
        ("cmd/report", b"{}", True),
        ("cmd/report/result", b"{}", False),
        ("cmd/a b", b"{}", False),
        ("cmd/", b"{}", False),
        ("other/report", b"{}", False),
        ("report", b"{}", False),
    ],
)
def test_what_is_no_command_is_nothing(topic: str, payload: bytes, retained: bool) -> None:
    assert parse_command(topic, payload, retained=retained) is None


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        (
            "cmd/dance",
            b'{"request_id":"7"}',
            "unknown command; known here: acknowledge, pause, reload, report, restart, resume, selftest",
        ),
        ("cmd/report", b"PRESS", "not JSON"),
        ("cmd/report", b"[]", "a command is a JSON object"),
        ("cmd/report", b"\xff", "not JSON (not UTF-8)"),
        ("cmd/report", b'{"a":NaN}', "NaN is no JSON"),
        ("cmd/report", b'{"a":1,"a":2}', "a key comes twice"),
        ("cmd/report", b"[" * 4000, "nested too deep"),
        ("cmd/report", b'{"a":"' + b"x" * 5000 + b'"}', "longer than 4096 bytes"),
        ("cmd/report", b'{"request_id":1e999}', "request_id: must be"),
        ("cmd/report", b'{"request_id":"\\ud800"}', "request_id: must be"),
        ("cmd/report", b'{"request_id":[[[]]]}', "request_id: must be"),
        ("cmd/report", b'{"request_id":"7","date":{}}', "date: must be"),
        ("cmd/report", b'{"date":"' + b"x" * 300 + b'"}', "date: must be"),
    ],
)
def test_a_wrong_command_is_refused_with_what_is_wrong(topic: str, payload: bytes, said: str) -> None:
    refusal = parse_command(topic, payload, retained=False)
    assert isinstance(refusal, Refusal)
    assert said in refusal.error


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
    assert outgoing.retain(Message("state", "a", retain=True))
    assert outgoing.retain(Message("state", "b", retain=True))
    assert not outgoing.retain(Message("state", "b", retain=True))
    assert outgoing.take() == Message("state", "b", 1, retain=True)
    assert outgoing.take() is None
    outgoing.send(Message("cmd/report/result", "x"))
    outgoing.renew()
    assert outgoing.take() == Message("state", "b", 1, retain=True)
    assert outgoing.take() is None, "what was sent once is dropped"


def test_topics_and_single_messages_are_bounded() -> None:
    outgoing = Outgoing()
    assert [outgoing.retain(Message(f"t{n}", "x", retain=True)) for n in range(MOST_TOPICS + 5)].count(
        True
    ) == MOST_TOPICS
    assert outgoing.retain(Message("t0", "y", retain=True)), "a known topic still changes"
    while outgoing.take():
        pass
    for n in range(MOST_ONCE + 5):
        outgoing.send(Message("r", str(n)))
    taken = [message.payload for message in iter(outgoing.take, None)]
    assert taken == [str(n) for n in range(5, MOST_ONCE + 5)]


def test_so_many_endings_that_told_something_are_followed_at_once() -> None:
    backoff = Backoff(Timing())
    for _ in range(MOST_PROMPT):
        backoff.ended(1)
        backoff.retry_at_once(now=0)
        assert backoff.delay_s <= 1
    for _ in range(3):
        backoff.ended(1)
        backoff.retry_at_once(now=0)
    assert backoff.delay_s > 1
    backoff.ended(1)
    backoff.retry_at_once(now=1000)
    assert backoff.delay_s <= 1


def test_an_allowance_lets_so_many_through_and_counts_the_rest() -> None:
    allowance = RateLimit(2, 60)
    assert [allowance.take(now) for now in (0, 1, 2, 3, 61, 62, 63)] == [0, 0, None, None, 2, 0, None]


def make_delivery(outbox: MemoryOutbox, quarantine: Quarantine | None = None) -> Delivery:
    return Delivery(outbox, quarantine or Quarantine(10, 3600), parcel, poll_s=5, rescan_s=60)


def take_all(delivery: Delivery, now: float = 0.0) -> list[int]:
    return [message.seq for message in iter(lambda: delivery.take(now), None)]


def test_everything_in_order_and_each_once() -> None:
    outbox = MemoryOutbox(300, delete=False)
    delivery = make_delivery(outbox)
    assert take_all(delivery) == list(range(1, 301))
    for seq in range(1, 301):
        delivery.acknowledged(seq)
    assert take_all(delivery, now=61) == [], "the store may delete them later"


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


def test_after_a_lost_connection_what_was_in_flight_comes_again_in_order() -> None:
    outbox = MemoryOutbox(100, delete=False)
    delivery = make_delivery(outbox)
    for _ in range(1, 21):
        delivery.take(0)
    for seq in (1, 2, 4):
        delivery.acknowledged(seq)
    delivery.end()
    assert take_all(delivery) == [3, *range(5, 101)]


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


def test_they_are_forgotten_behind_a_message_that_stays_too() -> None:
    """The broker has refused the oldest one, and takes all others."""
    outbox, quarantine = MemoryOutbox(1), Quarantine(10, 3600)
    delivery = make_delivery(outbox, quarantine)
    assert take_all(delivery) == [1]
    quarantine.refused(parcel(outbox.rows[1]), 0x87, "no", 0)
    delivery.refused(1)
    for _ in range(5000):
        seq = outbox.add()
        delivery.wake()
        assert take_all(delivery) == [seq]
        delivery.acknowledged(seq)
        outbox.acknowledge(seq)
        assert len(delivery._acknowledged) <= 1002
    assert take_all(delivery, now=61) == []
    assert len(delivery._acknowledged) == 0


def test_they_are_forgotten_while_many_more_wait() -> None:
    outbox = MemoryOutbox(10_000)
    delivery = make_delivery(outbox)
    for number in range(1, 10_001):
        message = delivery.take(0)
        assert message is not None
        assert message.seq == number
        delivery.acknowledged(number)
        outbox.acknowledge(number)
        assert len(delivery._acknowledged) <= 1200


def test_a_store_that_deletes_nothing_for_long_has_nothing_sent_twice() -> None:
    outbox = MemoryOutbox(3000, delete=False)
    delivery = make_delivery(outbox)
    sent = []
    for _ in range(3100):  # a turn may pass in which only known ones are read
        if message := delivery.take(0):
            sent.append(message.seq)
            delivery.acknowledged(message.seq)
    assert sent == list(range(1, 3001))
    for seq in range(1, 2951):
        del outbox.rows[seq]
    assert take_all(delivery, now=61) == []
    assert sorted(delivery._acknowledged) == list(range(2951, 3001))


def test_a_database_that_was_replaced_is_noticed_within_a_minute_and_its_numbers_are_other_messages() -> None:
    outbox = MemoryOutbox(50)
    delivery = make_delivery(outbox)
    for seq in take_all(delivery):
        delivery.acknowledged(seq)
    outbox.rows.clear()
    outbox.acknowledged.clear()
    for number in range(3):
        outbox.add(payload=f"another {number}")
    assert take_all(delivery, now=61) == [1, 2, 3]


def test_a_message_committed_while_the_outbox_is_being_read_is_not_overlooked() -> None:
    class Busy(MemoryOutbox):
        def outbox_after(self, seq: int, limit: int) -> list[Message]:
            found = super().outbox_after(seq, limit)
            if len(self.rows) < 3:
                self.add()
                delivery.wake()
            return found

    delivery = make_delivery(Busy())
    assert take_all(delivery) == [1, 2, 3]


CLOSED = Disconnected("closed")


def row(seq: int, topic: str = "events", size: int = 100) -> Packet:
    return Packet(seq, topic, size)


def break_alone(quarantine: Quarantine, sent: Packet, times: int, now: float = 0.0, end: Disconnected = CLOSED) -> None:
    for _ in range(times):
        quarantine.broke([sent], end, now)


def test_what_breaks_the_connection_alone_becomes_a_case_and_waits_ever_longer() -> None:
    quarantine = Quarantine(10, 3600)
    assert quarantine.broke([row(1), row(2)], CLOSED, 0), "one of them: worth another look"
    assert quarantine.one_by_one
    break_alone(quarantine, row(2), 1)
    assert not quarantine.blocks(row(2)), "once may be chance"
    break_alone(quarantine, row(2), 1)
    assert quarantine.blocks(row(2))
    assert not quarantine.blocks(row(1))
    waits, now = [], 0.0
    for _ in range(8):
        while (case := quarantine.due(now)) is None:
            now += 5
        waits.append(now)
        quarantine.broke([row(2)], CLOSED, now, case)
    gaps = [later - earlier for earlier, later in pairwise(waits)]
    assert waits[0] <= 20
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 3600
    quarantine.taken(row(2))
    assert quarantine.cases == []


def test_a_broker_that_falls_silent_is_given_one_chance_more_than_one_that_hangs_up() -> None:
    quarantine = Quarantine(10, 3600)
    silent = Disconnected("not acknowledged", silent=True)
    break_alone(quarantine, row(1), 3, end=silent)
    assert not quarantine.blocks(row(1))
    break_alone(quarantine, row(1), 1, end=silent)
    assert quarantine.blocks(row(1))


@pytest.mark.parametrize("code", [0x8B, 0x8D, 0x8E, 0x89, 0x96, 0x98, 0x9C])
def test_reasons_that_speak_of_the_connection_blame_no_message(code: int) -> None:
    quarantine = Quarantine(10, 3600)
    for _ in range(10):
        assert not quarantine.broke([row(1)], Disconnected("x", code, "x"), 0)
    assert quarantine.cases == []
    assert not quarantine.one_by_one


def test_messages_of_a_topic_of_which_none_is_taken_wait_together_and_one_taken_frees_them() -> None:
    quarantine = Quarantine(10, 3600)
    for seq in (1, 2):
        quarantine.refused(row(seq, "camera/door/violation"), 0x87, "Not authorized", 0)
    assert quarantine.blocks(row(3, "camera/door/violation"))
    assert not quarantine.blocks(row(4, "events"))
    version = quarantine.version
    quarantine.taken(row(3, "camera/door/violation"))
    assert quarantine.version > version
    assert not quarantine.blocks(row(5, "camera/door/violation"))
    assert quarantine.blocks(row(1, "camera/door/violation")), "its own case is not over"


def test_a_large_message_blames_the_size_until_a_larger_one_is_taken() -> None:
    quarantine = Quarantine(10, 3600)
    quarantine.taken(row(1, size=1500))
    quarantine.taken(Packet("a", "a", 100, retain=True))
    break_alone(quarantine, Packet("config", "config", 3700, retain=True, purpose="discovery"), 3)
    assert quarantine.blocks(row(2, size=3700))
    assert not quarantine.blocks(row(3, size=3000))
    quarantine.taken(row(4, size=5000))
    assert not quarantine.blocks(row(2, size=3700))


def test_where_nothing_retained_was_ever_taken_being_retained_is_blamed_first() -> None:
    quarantine = Quarantine(10, 3600)
    online = Packet("availability", "availability", 40, retain=True)
    break_alone(quarantine, online, 3)
    assert not quarantine.retains
    assert not quarantine.blocks(online), "it is sent without being retained"
    quarantine.taken(online)
    assert quarantine.retains


def test_cases_are_bounded_however_many_messages_are_refused() -> None:
    quarantine = Quarantine(10, 3600)
    for seq in range(3 * MOST_CASES):
        quarantine.taken(row(-seq - 1))
        quarantine.refused(row(seq), 0x97, "Quota exceeded", 0)
    assert len(quarantine.cases) == MOST_CASES


def test_careful_sending_ends_after_so_many_were_taken() -> None:
    quarantine = Quarantine(10, 3600)
    quarantine.broke([row(1), row(2)], CLOSED, 0)
    for seq in range(WINDOW):
        assert quarantine.one_by_one
        quarantine.taken(row(seq))
    assert not quarantine.one_by_one


def test_a_topic_is_tried_with_another_message_each_time() -> None:
    outbox = MemoryOutbox(5)
    quarantine = Quarantine(10, 3600)
    delivery = make_delivery(outbox, quarantine)
    for seq in (1, 2):
        taken = delivery.take(0)
        assert taken is not None
        quarantine.refused(parcel(taken), 0x87, "no", 0)
        delivery.refused(seq)
    assert take_all(delivery) == []
    case = next(case for case in quarantine.cases if case.topic)
    tried = []
    for _ in range(4):
        message = delivery.take_for(case)
        assert message is not None
        delivery.refused(message.seq)
        tried.append(message.seq)
    assert tried == [5, 3, 4, 5], "the newest first, and never one that is a case itself"
