"""What the device retained under another name is forgotten by the broker, whatever that answers, and no alert waits for it."""

import logging
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, publish, until
from support.publishing import MemoryOutbox, fast, mqtt_config, publishing
from support.scripted_broker import PUBLISH, SUBACK, Peer, ScriptedBroker

from edged.publish import Former
from edged.publish.timing import Timing
from edged.publish.withdraw import TRIES, Withdrawal

OLD = Former("edged/old", ("availability", "state", "camera/door/status"), "homeassistant/device/edged_old/config")
NEW_PREFIX = Former("edged/dev1", (), "ha/device/edged_dev1/config")
QUICK = fast(retained_s=0.1, withdraw_again_s=0.1, trial_s=20.0)
IMPATIENT = replace(QUICK, trial_s=0.3, connect_s=0.5)
"""For brokers that do not answer."""


def withdrawn(port: int, *former: Former, timing: Timing = QUICK, **keys: str) -> list[Former]:
    """What a withdrawal that has run to its end has withdrawn."""
    done: list[Former] = []
    worker = Withdrawal(
        mqtt_config(port, **keys), "dev1", None, former, timing, is_connected=lambda: True, done=done.append
    )
    worker.work()
    return done


def polite(peer: Peer, number: int) -> None:
    peer.accept()
    peer.serve()


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_real_broker_keeps_nothing_of_it_and_all_of_others(tmp_path: Path, version: str) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        for topic in (*OLD.whole, *NEW_PREFIX.whole):
            publish(broker.port, topic, "offline" if topic.endswith("availability") else "{}", "-r")
        publish(broker.port, "edged/other/availability", "online", "-r")
        assert withdrawn(broker.port, OLD, NEW_PREFIX, version=version) == [OLD, NEW_PREFIX]
        with Subscriber(broker.port, "#") as subscriber:
            publish(broker.port, "edged/dev1/availability", "online")
            assert until(lambda: len(subscriber.received) == 2)
            assert {one.topic for one in subscriber.received} == {"edged/other/availability", "edged/dev1/availability"}


@needs_mosquitto
def test_a_broker_that_takes_no_message_with_an_answer_forgets_it_too(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", settings=["max_qos 0"]) as broker:
        for topic in OLD.whole:
            publish(broker.port, topic, "offline", "-r", "-q", "0")
        assert withdrawn(broker.port, OLD, version="5") == [OLD]
        with Subscriber(broker.port, "#") as subscriber:
            publish(broker.port, "edged/dev1/availability", "online", "-q", "0")
            assert until(lambda: bool(subscriber.received))
            assert [one.topic for one in subscriber.received] == ["edged/dev1/availability"]


def test_where_somebody_is_online_nothing_is_touched_and_a_person_reads_what_to_do(caplog) -> None:
    def script(peer: Peer, number: int) -> None:
        peer.accept()
        kind, _, body = peer.read()
        assert kind == 8
        topic = b"edged/old/availability"
        kept = struct.pack("!H", len(topic)) + topic + b"online"
        # At once, as brokers do: it is not waited for long.
        peer.send(bytes([SUBACK << 4, 3, *body[:2], 1, PUBLISH << 4 | 1, len(kept)]) + kept)
        peer.serve()

    with caplog.at_level(logging.INFO), ScriptedBroker(script) as broker:
        assert withdrawn(broker.port, OLD) == []
    assert (broker.published, len(broker.connected_at)) == ([], TRIES)
    (line,) = caplog.messages
    assert "edged/old/# and homeassistant/device/edged_old/config stays on the broker: a device is online there" in line
    assert "mosquitto_sub --remove-retained -W 5 -t 'edged/old/#' -t 'homeassistant/device/edged_old/config'" in line


def test_only_another_discovery_prefix_is_withdrawn_although_the_device_itself_is_online() -> None:
    with ScriptedBroker(polite) as broker:
        assert withdrawn(broker.port, NEW_PREFIX) == [NEW_PREFIX]
    assert [(one.topic, one.payload, one.retain) for one in broker.published] == [
        ("ha/device/edged_dev1/config", "", True)
    ]


def test_nobody_is_told_to_remove_what_the_device_publishes_now(caplog) -> None:
    with caplog.at_level(logging.INFO):
        with ScriptedBroker(hang_up) as broker:
            assert withdrawn(broker.port, NEW_PREFIX) == []
        with ScriptedBroker(polite) as broker:
            assert withdrawn(broker.port, NEW_PREFIX) == [NEW_PREFIX]
    stays, gone = caplog.messages
    assert "mosquitto_sub --remove-retained -W 5 -t 'ha/device/edged_dev1/config'`" in stays
    assert gone == "MQTT: the broker keeps nothing of ha/device/edged_dev1/config any more"


def refuse(peer: Peer, number: int) -> None:
    peer.accept(properties=b"")
    while True:
        peer.acknowledge(peer.next_publish(), 0x87)


def hang_up(peer: Peer, number: int) -> None:
    peer.accept()
    peer.next_publish()


def say_nothing(peer: Peer, number: int) -> None:
    peer.accept()
    peer.serve(lambda _: True)
    peer.drain()


def talk_nonsense(peer: Peer, number: int) -> None:
    peer.accept()
    peer.send(b"\x90\x01\x00\x40\xff\xff\xff\xff\xff")
    peer.drain()


def forbid_subscriptions(peer: Peer, number: int) -> None:
    peer.may_subscribe = lambda topic: False  # type: ignore[method-assign]
    peer.accept()
    peer.serve()


def close(peer: Peer, number: int) -> None:
    """Before it has accepted."""


@pytest.mark.parametrize("script", [refuse, hang_up, say_nothing, talk_nonsense, forbid_subscriptions, close])
def test_whatever_the_broker_does_it_is_tried_a_few_times_and_said_once(script, caplog) -> None:
    with ScriptedBroker(script) as broker:
        assert withdrawn(broker.port, OLD, timing=IMPATIENT, version="5") == []
    assert 1 <= len(broker.connected_at) <= TRIES
    assert ["stays on the broker" in line for line in caplog.messages] == [True]
    assert "trying again" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_what_fails_once_is_done_the_next_time() -> None:
    with ScriptedBroker(lambda peer, number: (hang_up if number == 1 else polite)(peer, number)) as broker:
        assert withdrawn(broker.port, OLD) == [OLD]
    assert [one.topic for one in broker.published[1:]] == OLD.whole
    assert OLD.whole[-1] == "edged/old/availability"


def test_it_waits_for_the_devices_own_connection_and_ends_with_it() -> None:
    worker = Withdrawal(mqtt_config(9), "dev1", None, [OLD], QUICK, is_connected=lambda: False, done=lambda _: None)
    worker.start()
    assert not worker.stopping.wait(0.3)
    assert worker.is_alive()
    assert worker.stop(30)


@needs_mosquitto
def test_alerts_arrive_while_a_withdrawal_is_refused(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite edged/dev1/#\n")
    done: list[Former] = []
    with (
        Mosquitto(tmp_path / "broker", settings=[f"acl_file {acl}"]) as broker,
        publishing(broker.port, outbox := MemoryOutbox(), timing=QUICK, version="5") as publisher,
    ):
        publisher.withdraw([OLD], done.append)
        for number in range(1, 6):
            outbox.add()
            publisher.wake()
            assert until(lambda number=number: len(outbox.acknowledged) == number)
        assert publisher.connected
        assert publisher.problem is None
    assert done == []
