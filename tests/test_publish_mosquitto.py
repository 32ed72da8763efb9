"""The publisher against a real mosquitto: what a subscriber sees, through restarts, refusals, TLS and sudden death."""

import json
import logging
import queue
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.mosquitto import (
    Certificates,
    Mosquitto,
    Received,
    Subscriber,
    free_port,
    make_certificates,
    needs_mosquitto,
    publish,
    until,
)
from support.payloads import own
from support.publishing import MemoryOutbox, end, fast, mqtt_config, publishing

from edged.publish import Command, Publisher, probe_broker
from edged.store import Acknowledged, Store, StoreReader

pytestmark = needs_mosquitto

AVAILABILITY = "edged/dev1/availability"
EVENTS = "edged/dev1/events"
SECRET = "s3cret-pa55"  # noqa: S105


@pytest.fixture
def broker(tmp_path: Path):
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_says_what_waits_then_online_then_who_then_state_and_offline_at_the_end(
    broker: Mosquitto, version: str
) -> None:
    outbox = MemoryOutbox(2)
    with Subscriber(broker.port) as subscriber:
        with publishing(broker.port, outbox, version=version, discovery={"o": {"name": "edged"}}) as publisher:
            assert until(lambda: len(outbox.acknowledged) == 2 and len(subscriber.received) == 4)
            publisher.retain(own("state", '{"v":1}', retain=True))
            publisher.retain(own("camera/door/counts", '{"present":1}', 0, retain=True))
            assert until(lambda: len(subscriber.received) == 6)
            assert publisher.connected
            assert publisher.problem is None
        assert until(lambda: len(subscriber.received) == 7)
        assert subscriber.received == [
            Received(EVENTS, '{"n":1}', 1, False),
            Received(EVENTS, '{"n":2}', 1, False),
            Received(AVAILABILITY, "online", 1, False),
            Received("homeassistant/device/edged_dev1/config", '{"o":{"name":"edged"}}', 1, False),
            Received("edged/dev1/state", '{"v":1}', 1, False),
            Received("edged/dev1/camera/door/counts", '{"present":1}', 0, False),
            Received(AVAILABILITY, "offline", 1, False),
        ]
    with Subscriber(broker.port, "#", "-i", "late") as late:
        assert until(lambda: len(late.received) == 4)
        assert {message.topic for message in late.received} == {
            AVAILABILITY,
            "homeassistant/device/edged_dev1/config",
            "edged/dev1/state",
            "edged/dev1/camera/door/counts",
        }, "events must not be retained"


def test_a_retained_value_is_sent_when_it_changed_only(broker: Mosquitto) -> None:
    with Subscriber(broker.port) as subscriber, publishing(broker.port) as publisher:
        for value in ("a", "a", "b", "b"):
            publisher.retain(own("state", value, retain=True))
            assert until(lambda value=value: value in subscriber.payloads("edged/dev1/state"))
        publisher.retain(own("camera/door/status", "end", retain=True))
        assert until(lambda: subscriber.payloads("edged/dev1/camera/door/status"))
        assert subscriber.payloads("edged/dev1/state") == ["a", "b"]


def test_kill_minus_nine_leaves_offline_behind(broker: Mosquitto) -> None:
    program = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from support.publishing import publishing
        with publishing({broker.port}):
            time.sleep(60)
    """)
    with Subscriber(broker.port) as subscriber:
        process = subprocess.Popen([sys.executable, "-c", program])
        try:
            assert until(lambda: subscriber.payloads(AVAILABILITY) == ["online"])
        finally:
            process.kill()
            process.wait(60)
        assert until(lambda: subscriber.payloads(AVAILABILITY) == ["online", "offline"])
    with Subscriber(broker.port, AVAILABILITY, "-i", "late") as late:
        assert until(lambda: late.received == [Received(AVAILABILITY, "offline", 1, True)])


def test_two_thousand_rows_of_a_real_store_are_delivered_in_order_and_deleted(
    broker: Mosquitto, tmp_path: Path
) -> None:
    acknowledged: queue.Queue[int] = queue.Queue()
    reader = StoreReader(tmp_path / "edged.db")
    with Store(tmp_path / "edged.db") as store, Subscriber(broker.port, EVENTS) as subscriber:
        store.write(own("events", f'{{"n":{n}}}', created=n) for n in range(1500))
        publisher = Publisher(
            mqtt_config(broker.port),
            "dev1",
            reader,
            acknowledged.put,
            discovery=None,
            password=None,
            timing=fast(acknowledge_s=60.0),
        )
        publisher.start()
        try:
            _write_acknowledgements(store, acknowledged, 1000)
            store.write(own("events", f'{{"n":{n}}}', created=n) for n in range(1500, 2000))
            publisher.wake()
            _write_acknowledgements(store, acknowledged, 1000)
        finally:
            end(publisher, 5)
        assert reader.outbox_depth() == 0
        assert until(lambda: len(subscriber.received) >= 2000)
        assert [json.loads(payload)["n"] for payload in subscriber.payloads(EVENTS)] == list(range(2000))


def _write_acknowledgements(store: Store, acknowledged: "queue.Queue[int]", count: int) -> None:
    while count:
        batch = [Acknowledged(acknowledged.get(timeout=120))]
        while not acknowledged.empty() and len(batch) < count:
            batch.append(Acknowledged(acknowledged.get()))
        store.write(batch)
        count -= len(batch)


def test_a_broker_that_is_stopped_and_started_loses_nothing_and_repeats_little(broker: Mosquitto) -> None:
    outbox = MemoryOutbox(600)
    with Subscriber(broker.port) as subscriber, publishing(broker.port, outbox) as publisher:
        for stage in (1, 2, 3):
            assert until(lambda stage=stage: len(outbox.acknowledged) >= 200 * stage - 150)
            broker.stop()
            assert until(lambda: not publisher.connected)
            for _ in range(100):
                outbox.add()
            publisher.wake()
            time.sleep(0.1)
            broker.start()
        assert until(lambda: not outbox.rows)
        assert until(lambda: len(set(subscriber.payloads(EVENTS))) == 900)
        numbers = [json.loads(payload)["n"] for payload in subscriber.payloads(EVENTS)]
        first_seen = list(dict.fromkeys(numbers))
        assert first_seen == list(range(1, 901))
        assert len(numbers) - 900 <= 3 * 20
        assert until(lambda: subscriber.payloads(AVAILABILITY)[-1] == "online")


def test_nothing_is_queued_in_memory_while_the_broker_is_away() -> None:
    outbox = MemoryOutbox(50)
    with publishing(free_port(), outbox) as publisher:
        publisher.send(own("cmd/report/result", "lost"))
        assert until(lambda: "nothing listens" in (publisher.problem or ""))
        assert not publisher.connected
        assert outbox.acknowledged == []
        assert publisher._outgoing.take() is None


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_wrong_password_is_never_online_and_is_said_once_without_the_password(
    tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users = {"camera": "right", "watcher": "w"}
    with Mosquitto(tmp_path, users=users) as broker, Subscriber(broker.port, "#", "-u", "watcher", "-P", "w") as sub:
        outbox = MemoryOutbox(3)
        keys = {"username": "camera", "password": SECRET, "version": version}
        with publishing(broker.port, outbox, **keys) as publisher:
            assert until(lambda: broker.log.count("not authorised") >= 3)
            assert not publisher.connected
            assert "user name or password wrong" in (publisher.problem or "")
        time.sleep(0.1)
        assert sub.received == []
        assert outbox.acknowledged == []
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "mqtt.password_file" in warnings[0].getMessage()
    assert SECRET not in caplog.text


def test_the_right_password_is_let_in(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, users={"camera": SECRET}) as broker,
        publishing(broker.port, username="camera", password=SECRET) as publisher,
    ):
        assert until(lambda: publisher.connected)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_tls_with_a_private_authority_and_a_client_certificate(
    tmp_path: Path, certificates: Certificates, version: str
) -> None:
    outbox = MemoryOutbox(100)
    keys = {
        "host": "localhost",
        "version": version,
        "tls": True,
        "ca_file": certificates.ca,
        "cert_file": certificates.client,
        "key_file": certificates.client_key,
    }
    with (
        Mosquitto(tmp_path, tls=certificates, client_certificates=True) as broker,
        publishing(broker.port, outbox, **keys),
    ):
        assert until(lambda: not outbox.rows)


def test_tls_refuses_a_broker_it_cannot_verify(tmp_path: Path, certificates: Certificates) -> None:
    other = make_certificates(tmp_path / "other")
    outbox = MemoryOutbox(1)
    with Mosquitto(tmp_path / "broker", tls=certificates) as broker:
        with publishing(broker.port, outbox, host="localhost", tls=True, ca_file=other.ca) as publisher:
            assert until(lambda: "certificate is not accepted" in (publisher.problem or ""))
            assert not publisher.connected
        with publishing(broker.port, outbox) as publisher:
            assert until(lambda: "mqtt.tls" in (publisher.problem or ""))
        assert outbox.acknowledged == []


def test_a_missing_client_certificate_is_named(tmp_path: Path, certificates: Certificates) -> None:
    keys = {"host": "localhost", "tls": True, "ca_file": certificates.ca}
    with (
        Mosquitto(tmp_path, tls=certificates, client_certificates=True) as broker,
        publishing(broker.port, **keys) as publisher,
    ):
        assert until(lambda: "mqtt.cert_file" in (publisher.problem or ""))
        assert not publisher.connected


def test_commands_arrive_unless_retained_malformed_or_unknown(broker: Mosquitto) -> None:
    publish(broker.port, "edged/dev1/cmd/reload", "{}", "-r")
    with publishing(broker.port) as publisher:
        assert until(lambda: publisher.connected)
        for topic, payload in [
            ("cmd/report", "not json"),
            ("cmd/report", "[1]"),
            ("cmd/selfdestruct", "{}"),
            ("cmd/report", "[" * 3000),
            ("cmd/report", '{"request_id":1e999}'),
            ("cmd/report", '{"request_id":"7"}'),
            ("cmd/reload", ""),
        ]:
            publish(broker.port, f"edged/dev1/{topic}", payload)
        received: list[Command] = []
        assert until(lambda: received.extend(publisher.commands()) or len(received) >= 2)
        assert received == [Command("report", {"request_id": "7"}), Command("reload", {})]
        assert publisher.connected


def test_a_flood_of_commands_is_bounded(broker: Mosquitto) -> None:
    with publishing(broker.port) as publisher, Subscriber(broker.port, "edged/dev1/cmd/report") as subscriber:
        assert until(lambda: publisher.connected)
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", "edged/dev1/cmd/report", "-l"]
        subprocess.run(command, input="{}\n" * 200, text=True, check=True, timeout=120)
        assert until(lambda: len(subscriber.received) == 200)
        publisher.send(own("cmd/report/result", "{}"))
        time.sleep(0.2)
        assert len(publisher.commands()) == 16


def test_a_result_is_published_once_and_not_retained(broker: Mosquitto) -> None:
    with Subscriber(broker.port, "edged/dev1/cmd/#") as subscriber, publishing(broker.port) as publisher:
        assert until(lambda: publisher.connected)
        publisher.send(own("cmd/report/result", '{"ok":true}'))
        assert until(lambda: subscriber.received)
    with Subscriber(broker.port, "edged/dev1/cmd/#", "-i", "late") as late:
        time.sleep(0.1)
        assert late.received == []


def test_home_assistants_birth_brings_the_discovery_again(broker: Mosquitto) -> None:
    topic = "homeassistant/device/edged_dev1/config"
    with Subscriber(broker.port, topic) as subscriber, publishing(broker.port, discovery={"x": 1}):
        assert until(lambda: len(subscriber.received) == 1)
        publish(broker.port, "homeassistant/status", "offline")
        publish(broker.port, "homeassistant/status", "online")
        assert until(lambda: len(subscriber.received) == 2)
        time.sleep(0.1)
        assert len(subscriber.received) == 2


def births(port: int, count: int) -> None:
    """Home Assistant says so often that it has started; return when the broker has all of it."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", "homeassistant/status", "-l"]
    subprocess.run(command, input="online\n" * count, text=True, check=True, timeout=60)


def test_a_flood_of_births_is_answered_once(broker: Mosquitto) -> None:
    with (
        Subscriber(broker.port, "homeassistant/device/edged_dev1/config") as subscriber,
        publishing(broker.port, discovery={"x": 1}, timing=fast(introduce_s=3600.0)) as publisher,
    ):
        assert until(lambda: len(subscriber.received) == 1)
        births(broker.port, 300)
        publish(broker.port, "edged/dev1/cmd/report", "{}")
        assert until(publisher.commands)  # all births have come by now
        assert until(lambda: len(subscriber.received) == 2)
        time.sleep(0.1)
        assert len(subscriber.received) == 2


def test_the_last_of_several_births_is_answered_too(broker: Mosquitto) -> None:
    with (
        Subscriber(broker.port, "homeassistant/device/edged_dev1/config") as subscriber,
        publishing(broker.port, discovery={"x": 1}, timing=fast(introduce_s=1.0)),
    ):
        assert until(lambda: len(subscriber.received) == 1)
        births(broker.port, 1)
        assert until(lambda: len(subscriber.received) == 2)
        births(broker.port, 1)
        assert until(lambda: len(subscriber.received) == 3)


def test_two_devices_of_one_name_are_told_so_and_slow_down(broker: Mosquitto) -> None:
    with publishing(broker.port) as first, publishing(broker.port) as second:
        assert until(lambda: all("device.id" in (p.problem or "") for p in (first, second)))


def test_a_frozen_broker_is_noticed_and_gets_everything_when_it_thaws(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = MemoryOutbox(5)
    with (
        Subscriber(broker.port, EVENTS) as subscriber,
        publishing(broker.port, outbox, timing=fast(connect_s=0.3, acknowledge_s=0.6)) as p,
    ):
        assert until(lambda: not outbox.rows)
        broker.freeze()
        for _ in range(30):
            outbox.add()
        p.wake()
        assert until(lambda: "no MQTT broker answers" in (p.problem or ""))
        assert "not acknowledged" in caplog.text, "which was the problem until the next try to connect"
        assert len(outbox.rows) == 30
        broker.thaw()
        assert until(lambda: not outbox.rows)
        assert until(lambda: len(set(subscriber.payloads(EVENTS))) == 35)
        assert until(lambda: p.problem is None)


def test_a_probe_tells_what_is_wrong_and_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "right").write_text(SECRET)
    (tmp_path / "wrong").write_text("wrong")
    with (
        Mosquitto(tmp_path / "broker", users={"camera": SECRET, "watcher": "w"}) as broker,
        Subscriber(broker.port, "#", "-u", "watcher", "-P", "w") as subscriber,
        publishing(broker.port, username="camera", password=SECRET) as publisher,
    ):
        assert until(lambda: publisher.connected)
        right = mqtt_config(broker.port, username="camera", password_file=tmp_path / "right")
        wrong = mqtt_config(broker.port, username="camera", password_file=tmp_path / "wrong")
        assert probe_broker(right, "dev1") is None
        assert "password_file" in (probe_broker(wrong, "dev1") or "")
        assert "nothing listens" in (probe_broker(mqtt_config(free_port()), "dev1") or "")
        time.sleep(0.1)
        assert publisher.connected
        assert [message.payload for message in subscriber.received] == ["online"]
