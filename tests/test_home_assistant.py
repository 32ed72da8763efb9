"""Home Assistant itself shows the device: entities, the figures of the day, and buttons that the daemon answers."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from report_days import MINUTE, encounter, span, watched
from support.daemon import Daemon, looped, needs_models, write_clip
from support.home_assistant import HomeAssistant, needs_home_assistant, schema_mistakes
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from test_publish_discovery import CONFIG

from edged.config import load_config
from edged.daemon.commands import STOPPING
from edged.publish import device_discovery, platforms
from edged.report import build_report, canonical_json, report_sha256
from edged.store import ReportRow, Store, StoreReader

pytestmark = [needs_home_assistant, needs_models, needs_mosquitto]

WAIT_S = 180.0
STATES = ["correct"] * 30 + ["incorrect"] * 6 + ["none"] * 4
EXTRA = """
[camera.door]
source = {source}
name = "Main door"
"""


def keep_yesterday(daemon: Daemon) -> str:
    """Forty passages of yesterday, and its report, as a daemon that ran then has left them; return when the day began.

    A daemon makes the report itself, but only by a clock that has not jumped for five minutes.
    """
    day = (datetime.now(timezone.utc) - timedelta(days=1)).date()
    begin, end = span(day, "UTC")
    rows = [encounter(number, begin + number * 20 * MINUTE, state) for number, state in enumerate(STATES)]
    daemon.database.parent.mkdir(parents=True)
    with Store(daemon.database) as store:
        store.write([*rows, *watched(begin, end)])
        report = build_report(StoreReader(daemon.database), load_config(daemon.config), day, end)
        text = canonical_json(report)
        store.write([ReportRow(str(day), "UTC", end, text, report_sha256(report), revision=1, counted={})])
    return f"{day}T00:00:00+00:00"


def test_the_device_its_figures_and_its_buttons(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        daemon = Daemon(tmp_path / "edged", {}, port=broker.port)
        source = json.dumps(looped(write_clip(tmp_path / "clip.mp4")))
        text = daemon.config.read_text().replace("[mqtt]", '[mqtt]\nconfiguration_url = "http://wiki.example.org/hall"')
        daemon.config.write_text(text + EXTRA.format(source=source))
        began = keep_yesterday(daemon)
        with (
            HomeAssistant(tmp_path / "home", broker.port) as home,
            Subscriber(broker.port, "edged/dev1/cmd/+/result") as results,
            daemon,
        ):
            daemon.start()
            assert until(lambda: home.state("edged Passages, last full day") == "40", WAIT_S), daemon.log
            counters = {"Masks worn correctly": "30", "Masks worn incorrectly": "6", "Without a mask": "4"}
            assert {name: home.state(f"edged {name}, last full day") for name in counters} == counters
            passages = home.entities()["edged Passages, last full day"]
            assert (passages["attributes"]["state_class"], passages["attributes"]["last_reset"]) == ("total", began)
            compliance = home.entities()["edged Compliance, last full day"]
            assert (compliance["state"], compliance["attributes"]["state_class"]) == ("75.0", "measurement")
            assert until(lambda: home.state("edged Main door camera") == "on", WAIT_S)
            assert until(lambda: (home.state("edged Main door people") or "").isdigit(), WAIT_S)
            link = f"{{{{ device_attr(device_id('{passages['entity_id']}'), 'configuration_url') }}}}"
            assert home.render(link) == "http://wiki.example.org/hall"

            for name in ("Make the report of yesterday", "Self-test"):
                home.press(f"edged {name}")
            assert until(lambda: results.payloads("edged/dev1/cmd/report/result"), WAIT_S), daemon.log
            home.press("edged Restart edged")
            assert daemon.wait(WAIT_S) == 1, "systemd then starts it again"
            answers = {}
            for verb in ("report", "restart", "selftest"):
                assert until(lambda verb=verb: results.payloads(f"edged/dev1/cmd/{verb}/result")), verb
                answers[verb] = json.loads(results.payloads(f"edged/dev1/cmd/{verb}/result")[0])
            assert {answer["request_id"] for answer in answers.values()} == {"home-assistant"}
            assert answers["report"]["report"]["encounters"] == 40
            assert answers["restart"]["ok"]
            assert answers["selftest"]["ok"] or answers["selftest"]["error"] == STOPPING, (
                "a slow machine was not done yet"
            )
            assert until(lambda: home.state("edged Mode") == "unavailable")


def test_its_schemas_accept_every_payload() -> None:
    payload = device_discovery(CONFIG, "dev-1")
    linked = CONFIG.model_copy(
        update={"mqtt": CONFIG.mqtt.model_copy(update={"configuration_url": "http://a.example.org:8080/x?y"})}
    )
    fewer = CONFIG.model_copy(update={"camera": {"door": CONFIG.camera["door"]}})
    removed = device_discovery(fewer, "dev-1", platforms(payload))
    removed["cmps"] = {name: component for name, component in removed["cmps"].items() if len(component) > 1}
    for one in (payload, device_discovery(linked, "dev-1"), removed):
        assert schema_mistakes(one) == []
    payload["cmps"]["passages"]["state_class"] = "total_increasing"
    [line] = schema_mistakes(payload)
    assert line.startswith("passages: "), "last_reset belongs to the state class total alone"
