"""The live side of a fleet: made-up devices on a real broker, who may write where, and the board's config."""

import json
import random
import re
import socket
import subprocess
import threading
import time
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import get_type_hints

import pytest
from support.mosquitto import Mosquitto, Subscriber, free_port, make_certificates, needs_mosquitto, until

from edged.cli.fleet import _address
from edged.errors import UsageError
from edged.fleet.simulate import Device
from edged.fleet.simulate_broker import messages, publish_devices, shard_of
from edged.payloads.mqtt import StatePayload
from edged.payloads.report import ReportDocument
from edged.toml import load_toml

FLEET = Path(__file__).parents[1] / "config" / "fleet"
DAYS = [date(2026, 11, 19)]


LARGE = pytest.param(1000, 0.1, 1000, 5, id="1000", marks=pytest.mark.long)


@needs_mosquitto
@pytest.mark.parametrize(("devices", "scale", "connections", "restarts"), [pytest.param(12, 0.3, 4, 2, id="12"), LARGE])
def test_every_message_arrives_through_deaths_of_devices_and_restarts_of_the_broker(
    tmp_path, devices, scale, connections, restarts
):
    """In order for each device: what was told again lies between, with the same event and step."""
    truth = defaultdict(list)
    for number in range(devices):
        for payload in messages(Device(number, 17), DAYS, scale):
            truth[f"sim-{number:05d}"].append((json.loads(payload)["event_id"], json.loads(payload)["seq"]))
    whole, chance = sum(map(len, truth.values())), random.Random(5)
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port, "edged/+/+/events") as heard:
        told = []
        teller = threading.Thread(
            target=lambda: told.append(
                publish_devices("127.0.0.1", broker.port, devices, DAYS, 17, scale, 8, connections)
            )
        )
        began = time.monotonic()
        teller.start()
        for restart in range(restarts):
            mark = whole * (restart + chance.random()) / (restarts + 1)
            assert until(lambda mark=mark: len(heard.received) > mark, 300)
            broker.stop()  # killed outright it would lose what it has acknowledged, and not passed on or saved yet
            broker.start()
            count = len(heard.received)
            goes_on = lambda count=count: len(heard.received) > count or not teller.is_alive()  # noqa: E731
            assert until(goes_on, 300), "or all was told before"
        teller.join(600)
        took = time.monotonic() - began
        assert told == [whole]
        assert until(lambda: len({(m.topic, m.payload) for m in list(heard.received)}) == whole)
        arrived = defaultdict(list)
        for message in heard.received:
            payload = json.loads(message.payload)
            device = message.topic.split("/")[2]
            assert message.topic.split("/")[1] == f"s{shard_of(device, 8):02d}"
            step = payload["event_id"], payload["seq"]
            if step not in arrived[device]:
                arrived[device].append(step)
    assert arrived == truth
    again = len(heard.received) - whole
    print(
        f"{devices} devices, {restarts} restarts of the broker: {whole} messages, {again} of them again, {took:.0f} s"
    )


def test_some_devices_do_die():
    chances = [Device(number, 17).chance() for number in range(12)]
    assert any(chance.randrange(1, 40) and chance.random() < 0.2 for chance in chances)


def test_shards_are_what_the_documentation_says():
    done = subprocess.run(
        ["bash", "-c", "echo $((0x$(printf %s sim-00001 | sha256sum | cut -c1-2) % 8))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert int(done.stdout) == shard_of("sim-00001", 8)


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@needs_mosquitto
def test_a_certificate_lets_a_device_write_below_its_own_name_only(tmp_path):
    """The shipped broker's config and access list, with the paths of this machine."""
    made, port = make_certificates(tmp_path / "tls"), free_port()
    text = (FLEET / "mosquitto.conf").read_text()
    acl = (FLEET / "edged-fleet.acl").read_text().replace("user telegraf", "user server")
    (tmp_path / "edged-fleet.acl").write_text(acl)
    for line, mine in {
        "listener 8883": f"listener {port} 127.0.0.1\nuser root",
        "/etc/mosquitto/certs/ca.crt": str(made.ca),
        "/etc/mosquitto/certs/server.crt": str(made.server),
        "/etc/mosquitto/certs/server.key": str(made.server_key),
        "/etc/mosquitto/edged-fleet.acl": str(tmp_path / "edged-fleet.acl"),
        "/var/lib/mosquitto/": f"{tmp_path}/",
    }.items():
        assert line in text
        text = text.replace(line, mine)
    (tmp_path / "mosquitto.conf").write_text(text)
    process = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    client = [str(made.client), str(made.client_key)]
    try:
        assert until(lambda: _listens(port))
        secure = ["-h", "localhost", "-p", str(port), "--cafile", str(made.ca)]
        server = ["--cert", str(made.server), "--key", str(made.server_key)]
        device = ["--cert", client[0], "--key", client[1]]
        heard = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", *secure, *server, "-t", "edged/#", "-v", "-d"],
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = []
        threading.Thread(target=lambda: lines.extend(iter(heard.stdout.readline, "")), daemon=True).start()
        assert until(lambda: any("Subscribed" in line for line in lines))
        own = ["edged/client/events", "edged/s07/client/events"]
        others = ["edged/other/events", "edged/s07/other/events", "edged/s07/other/client/events", "edged/events"]
        for topic in [*others, *own]:
            publish = ["mosquitto_pub", *secure, *device, "-q", "1", "-t", topic, "-m", "{}"]
            subprocess.run(publish, check=True, timeout=60, capture_output=True)
        assert until(lambda: f"{own[-1]} {{}}\n" in lines)
        assert [line for line in lines if line.startswith("edged/")] == [f"{topic} {{}}\n" for topic in own]
        stranger = ["mosquitto_pub", *secure, "-t", own[0], "-m", "{}"]
        assert subprocess.run(stranger, timeout=60, capture_output=True).returncode != 0
    finally:
        heard.kill()
        heard.wait(60)
        heard.stdout.close()
        process.kill()
        process.wait(60)


@pytest.mark.parametrize(("number", "payload"), [(0, StatePayload), (1, ReportDocument)])
def test_telegraf_reads_fields_that_devices_send(number, payload):
    source = load_toml(FLEET / "telegraf.conf")["inputs"]["mqtt_consumer"][number]
    fields = [one["path"] for part in source["json_v2"] for kind in ("field", "tag") for one in part[kind]]
    assert set(fields) <= set(get_type_hints(payload))
    assert (source["qos"], source["persistent_session"]) == (1, True)
    parsed = source["topic_parsing"]
    assert [one["topic"] for one in parsed] == source["topics"]
    assert all(len(one["tags"].split("/")) == len(one["topic"].split("/")) for one in parsed)


def test_the_board_asks_for_what_telegraf_tells():
    told = set()
    for source in load_toml(FLEET / "telegraf.conf")["inputs"]["mqtt_consumer"]:
        fields = [one["path"] for part in source["json_v2"] for one in part["field"]]
        told |= {f"{source['name_override']}_{field}" for field in fields}
    board = json.loads((FLEET / "grafana.json").read_text())
    asked = {name for panel in board["panels"] for target in panel["targets"]
             for name in re.findall(r"edged_\w+", target["expr"])}  # fmt: skip
    assert asked <= told
    assert asked


def test_an_address_without_a_port_is_one_line():
    assert _address("broker:1883") == ("broker", 1883)
    with pytest.raises(UsageError, match=r"write it like broker\.example\.org:1883"):
        _address("broker")
