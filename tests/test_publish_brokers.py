"""Brokers of the cloud, and mosquitto with limits: what they dislike holds no alert up, and is told with its remedy."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from support.payloads import own
from support.publishing import MemoryOutbox, fast, publishing
from support.scripted_broker import DISCONNECT, Peer, Published, ScriptedBroker

from edged.publish import Publisher

EVENTS, AVAILABILITY = "edged/dev1/events", "edged/dev1/availability"
CONFIG = "homeassistant/device/edged_dev1/config"
VIOLATION = "edged/dev1/camera/door/violation"
LARGE = {"cmps": "x" * 3600}
"""As large as what introduces one camera."""

BRISK = fast(first_delay_s=0.05, longest_delay_s=2.0, retry_first_s=1.0, retry_longest_s=60.0, steady_s=5.0)
"""Reconnecting slows down to two seconds, so that only what is held up by it is late."""

Dislikes = Callable[[Published], bool]


def cloud(dislikes: Dislikes, *, may_subscribe: Callable[[str], bool] = lambda _: True) -> Callable[[Peer, int], None]:
    """As AWS IoT and HiveMQ Cloud do with MQTT 3.1.1: the connection ends at once, without a word."""

    def script(peer: Peer, number: int) -> None:
        peer.may_subscribe = may_subscribe  # type: ignore[method-assign]
        peer.accept()
        peer.serve(until=dislikes)

    return script


def reasons(dislikes: Dislikes, code: int, *, ends: bool) -> Callable[[Peer, int], None]:
    """As brokers of MQTT 5 do: a reason code, on the message or on the end of the connection."""

    def script(peer: Peer, number: int) -> None:
        peer.accept()
        while True:
            message = peer.next_publish()
            if not dislikes(message):
                peer.acknowledge(message)
            elif ends:
                sentence = b"\x1f\x00\x06no way"
                peer.write(DISCONNECT, bytes([code, len(sentence)]) + sentence)
                return
            else:
                peer.acknowledge(message, code)

    return script


def alert_arrives(outbox: MemoryOutbox, publisher: Publisher, within_s: float = 5.0) -> bool:
    seq = outbox.add()
    publisher.wake()
    return until(lambda: seq in outbox.acknowledged, within_s)


def connections(broker: ScriptedBroker) -> int:
    return len(broker.connected_at)


@pytest.mark.parametrize(
    ("dislikes", "key"),
    [
        (lambda m: m.topic == CONFIG, "mqtt.discovery"),
        (lambda m: m.topic.startswith("homeassistant/"), "mqtt.discovery"),
        (lambda m: len(m.payload) > 3000, "mqtt.discovery"),
        (lambda m: m.topic == "edged/dev1/state", "mqtt.prefix"),
    ],
)
def test_a_cloud_that_hangs_up_on_something_besides_alerts_gets_the_alerts(dislikes: Dislikes, key: str) -> None:
    outbox = MemoryOutbox(5)
    with (
        ScriptedBroker(cloud(dislikes)) as broker,
        publishing(broker.port, outbox, discovery=LARGE, timing=BRISK) as publisher,
    ):
        publisher.retain(own("state", '{"v":1}', retain=True))
        assert until(lambda: not outbox.rows)
        assert until(lambda: key in (publisher.problem or "") and publisher.connected)
        assert "it ends the connection" in (publisher.problem or "")
        before = connections(broker)
        assert all(alert_arrives(outbox, publisher) for _ in range(20))
        assert connections(broker) <= before + 1
        assert until(lambda: AVAILABILITY in {message.topic for message in broker.published})


def test_what_a_cloud_dislikes_is_tried_ever_more_rarely_and_taken_once_it_is_allowed() -> None:
    allowed = threading.Event()
    outbox = MemoryOutbox(1)

    def dislikes(message: Published) -> bool:
        return message.topic == CONFIG and not allowed.is_set()

    timing = fast(first_delay_s=0.02, longest_delay_s=2.0, retry_first_s=0.1, retry_longest_s=1.0)
    with (
        ScriptedBroker(cloud(dislikes)) as broker,
        publishing(broker.port, outbox, discovery=LARGE, timing=timing) as publisher,
    ):
        tries = lambda: [message.topic for message in broker.published].count(CONFIG)  # noqa: E731
        assert until(lambda: tries() >= 6)
        gaps = [later - earlier for earlier, later in zip(broker.connected_at, broker.connected_at[1:], strict=False)]
        assert max(gaps[-2:]) > max(gaps[:2])
        allowed.set()
        assert until(lambda: publisher.connected and publisher.problem is None)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_refused_subscription_holds_nothing_up_and_single_commands_are_asked_for(version: str) -> None:
    outbox = MemoryOutbox(5)
    script = cloud(lambda _: False, may_subscribe=lambda topic: not topic.endswith("+"))
    subscribed: list[list[str]] = []

    def listening(peer: Peer, number: int) -> None:
        subscribed.append(peer.subscribed)
        script(peer, number)

    with (
        ScriptedBroker(listening) as broker,
        publishing(broker.port, outbox, timing=BRISK, version=version, discovery={"d": 1}) as publisher,
    ):
        assert until(lambda: not outbox.rows)
        assert until(lambda: "edged/dev1/cmd/+" in (publisher.problem or "") and publisher.connected)
        assert until(lambda: "edged/dev1/cmd/selftest" in subscribed[-1])
        assert until(lambda: CONFIG in {message.topic for message in broker.published})
        assert alert_arrives(outbox, publisher)


def test_a_cloud_that_keeps_nothing_retained_gets_the_values_unretained() -> None:
    outbox = MemoryOutbox(2)
    with (
        ScriptedBroker(cloud(lambda message: message.retain)) as broker,
        publishing(broker.port, outbox, timing=BRISK, discovery={"d": 1}) as publisher,
    ):
        publisher.retain(own("state", "s", retain=True))
        assert until(lambda: not outbox.rows)
        taken = lambda: {message.topic for message in broker.published if not message.retain}  # noqa: E731
        assert until(lambda: {AVAILABILITY, "edged/dev1/state", CONFIG} <= taken())
        assert until(lambda: "retain messages under edged/#" in (publisher.problem or ""))
        assert alert_arrives(outbox, publisher)


@pytest.mark.parametrize("denied", [3, 8, 60])
@pytest.mark.parametrize("version", ["3.1.1", "5", "5 ends"])
def test_denied_messages_delay_no_alert_by_more_than_seconds(denied: int, version: str) -> None:
    outbox = MemoryOutbox(0)
    for _ in range(denied):
        outbox.add(topic="camera/door/violation")
        outbox.add()

    def dislikes(message: Published) -> bool:
        return message.topic == VIOLATION

    script = cloud(dislikes) if version == "3.1.1" else reasons(dislikes, 0x87, ends=version == "5 ends")
    with (
        ScriptedBroker(script) as broker,
        publishing(broker.port, outbox, timing=BRISK, version=version.split()[0]) as publisher,
    ):
        assert until(lambda: len(outbox.rows) == denied and all(r.topic != "events" for r in outbox.rows.values()))
        assert connections(broker) <= 12
        outbox.add(topic="camera/door/violation")
        assert all(alert_arrives(outbox, publisher) for _ in range(20))
        assert len(outbox.rows) == denied + 1
        said = {"3.1.1": "it ends the connection, without a reason", "5": "Not authorized", "5 ends": "no way"}[version]
        wanted = (said, "allow this user to write edged/#")
        assert until(lambda: all(words in (publisher.problem or "") for words in wanted)), "in the broker's own words"


def test_eight_messages_that_are_denied_for_what_they_say_delay_an_alert_by_seconds() -> None:
    outbox = MemoryOutbox(3)
    poison = {outbox.add(payload=f"poison {number}") for number in range(8)}
    good = {outbox.add() for _ in range(3)}
    timing = fast(first_delay_s=0.05, longest_delay_s=60.0, retry_first_s=5.0, retry_longest_s=60.0)
    with (
        ScriptedBroker(cloud(lambda message: message.payload.startswith("poison"))) as broker,
        publishing(broker.port, outbox, timing=timing) as publisher,
    ):
        assert until(lambda: good <= set(outbox.acknowledged))
        assert set(outbox.rows) == poison
        # Two to be sure of each; on a busy machine some are due for their first trial meanwhile, which costs one more.
        assert connections(broker) <= 2 + 3 * len(poison)
        assert all(alert_arrives(outbox, publisher) for _ in range(5))


def test_more_refusals_than_ever_stop_nothing_else() -> None:
    outbox = MemoryOutbox(0)
    for number in range(1200):
        outbox.add(payload=f"poison {number}")
        outbox.add()
    script = reasons(lambda message: message.payload.startswith("poison"), 0x99, ends=False)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=BRISK, version="5"):
        assert until(lambda: len(outbox.acknowledged) == 1200)


@pytest.mark.parametrize("code", [0x9A, 0x87])
def test_a_broker_that_takes_no_retained_will_lets_the_device_in(code: int) -> None:
    wills: list[object] = []

    def script(peer: Peer, number: int) -> None:
        _, _, peer.connect = peer.read()
        peer.version = 5
        wills.append(peer.will)
        if peer.will and peer.will[1]:
            peer.write(2, bytes([0, code, 0]))
            return
        peer.write(2, b"\0\0\x02\x25\x00")  # retain not available
        peer.serve()

    outbox = MemoryOutbox(3)
    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=BRISK, version="5") as publisher:
        publisher.retain(own("state", "s", retain=True))
        assert until(lambda: not outbox.rows)
        assert wills[-1] == (1, False)
        assert len(wills) <= 5
        assert until(lambda: "edged/dev1/state" in {message.topic for message in broker.published})
        assert not any(message.retain for message in broker.published)
        assert until(lambda: "availability" in (publisher.problem or ""))


def test_the_limits_that_a_broker_announces_are_kept() -> None:
    """As Azure Event Grid: nothing retained, and a limit of size; here also one message in flight, and no `+`."""
    outbox = MemoryOutbox(10)
    outbox.add(payload="y" * 3000)
    most, subscribed = [0], []

    def script(peer: Peer, number: int) -> None:
        limits = b"\x21\x00\x01" + b"\x25\x00" + b"\x24\x01" + b"\x27\x00\x00\x07\xd0" + b"\x28\x00"
        peer.accept(properties=limits)
        subscribed.append(peer.subscribed)
        while True:
            message = peer.next_publish()
            peer._sock.settimeout(0.05)
            try:
                peer.next_publish()
                most[0] = 2
            except TimeoutError:
                peer._sock.settimeout(10)
            peer.acknowledge(message)

    with (
        ScriptedBroker(script) as broker,
        publishing(broker.port, outbox, timing=BRISK, version="5", discovery=LARGE) as publisher,
    ):
        assert until(lambda: list(outbox.rows) == [11])
        assert until(lambda: "at most 2,000 bytes" in (publisher.problem or ""))
        assert until(lambda: "edged/dev1/cmd/restart" in subscribed[-1])
        assert alert_arrives(outbox, publisher)
        assert connections(broker) == 1
        assert most == [0]
        assert all(len(message.payload) < 2000 and not message.retain for message in broker.published)
        assert "edged/dev1/cmd/+" not in subscribed[-1]


def test_a_broker_of_qos_0_gets_everything_and_what_stands_a_while_is_taken() -> None:
    outbox = MemoryOutbox(30)

    def script(peer: Peer, number: int) -> None:
        assert number > 1 or peer is not None
        peer.accept(properties=b"\x24\x00")
        peer.serve()

    with ScriptedBroker(script) as broker, publishing(broker.port, outbox, timing=BRISK, version="5"):
        assert until(lambda: not outbox.rows)
        assert {message.qos for message in broker.published} == {0}


@pytest.mark.parametrize(("code", "told"), [(0x98, "Administrative action"), (0x89, "Server busy")])
def test_what_the_broker_says_at_the_end_is_not_overwritten_by_a_guess(code: int, told: str) -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        peer._sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            peer.serve()
        peer.write(DISCONNECT, bytes([code, 0]))

    with ScriptedBroker(script) as broker, publishing(broker.port, version="5") as publisher:
        assert until(lambda: connections(broker) >= 6)
        for _ in range(20):
            assert "device.id" not in (publisher.problem or "")
            time.sleep(0.02)
        assert until(lambda: told in (publisher.problem or ""))


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mosquitto_with_a_limit_of_size_gets_the_alerts(tmp_path: Path, version: str) -> None:
    outbox = MemoryOutbox(5)
    with (
        Mosquitto(tmp_path, settings=["max_packet_size 3000", "max_inflight_messages 5"]) as broker,
        Subscriber(broker.port, "edged/#") as subscriber,
        publishing(broker.port, outbox, discovery=LARGE, timing=BRISK, version=version) as publisher,
    ):
        assert until(lambda: not outbox.rows)
        assert until(lambda: "mqtt.discovery" in (publisher.problem or ""))
        assert all(alert_arrives(outbox, publisher) for _ in range(5))
        assert until(lambda: "online" in subscriber.payloads(AVAILABILITY))


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_mosquitto_that_denies_by_its_access_list_gets_what_it_allows(tmp_path: Path, version: str) -> None:
    """By 3.1.1 mosquitto 2.0 acknowledges what it denies, and hangs up; only by MQTT 5 it tells, and nothing is lost."""
    (tmp_path / "acl").write_text("topic write edged/dev1/events\ntopic write edged/dev1/availability\n")
    outbox = MemoryOutbox(0)
    for _ in range(5):
        outbox.add(topic="camera/door/violation")
        outbox.add()
    with (
        Mosquitto(tmp_path, settings=[f"acl_file {tmp_path / 'acl'}"]) as broker,
        publishing(broker.port, outbox, discovery=LARGE, timing=BRISK, version=version) as publisher,
    ):
        assert until(lambda: all(row.topic != "events" for row in outbox.rows.values()))
        assert alert_arrives(outbox, publisher)
        if version == "5":
            assert until(lambda: "Not authorized" in (publisher.problem or ""))


@needs_mosquitto
def test_mosquitto_that_acknowledges_what_it_denies_and_hangs_up_delays_no_alert(tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("topic write edged/dev1/events\ntopic write edged/dev1/availability\n")
    outbox = MemoryOutbox(0)
    timing = fast(first_delay_s=0.05, longest_delay_s=60.0, steady_s=90.0)
    with (
        Mosquitto(tmp_path, settings=[f"acl_file {tmp_path / 'acl'}"]) as broker,
        publishing(broker.port, outbox, timing=timing) as publisher,
    ):
        assert until(lambda: publisher.connected)
        for _ in range(10):
            outbox.add(topic="camera/door/violation")
            publisher.wake()
            assert until(lambda: not outbox.rows)
            assert alert_arrives(outbox, publisher)
