"""Figures for Prometheus: names, units and sums; the board and the alert rules ask for nothing that is not there."""

import json
import re
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from support.console import Console

from edged.console.figures import exposition
from edged.console.site import METRICS_S
from edged.daemon.client import socket_path
from edged.sockets import LineServer

CONFIG = Path(__file__).parents[1] / "config" / "prometheus"
CAMERA = {
    "frames_seen": 30, "frames_analysed": 20, "frames_faulty": 1, "open_s": 60.0, "monitored_s": 50.0,
    "encounters": {"correct": 3, "incorrect": 0, "none": 1, "uncertain": 2},
    "events": [{"kind": "mask", "state": "none", "alerted": True, "count": 1}],
    "latency": {"ends_s": [0.005, 0.01], "counts": [1, 2, 3], "sum_s": 0.5},
    "status": "online", "present": None, "stages_ms": {"detect": 8.0}, "viewers": 1,
}  # fmt: skip
DOCUMENT = {
    "v": 1, "version": "1.0", "uptime_s": 5, "cameras": {"door": CAMERA}, "models": {"mask": "onnxruntime"},
    "queues": {"outbox": 7, "store": 0}, "rows_dropped": 0, "broker": {"configured": True, "connected": True}, "errors": 0,
    "clock_synced": True, "paused": False, "resident_bytes": 200_000_000, "temperature_c": None, "throttled": False,
    "under_voltage": False, "pictures_encoded": 4, "pictures_withheld": 0, "clear_view_s": 0.0,
}  # fmt: skip


def samples(document):
    families = text_string_to_metric_families(exposition(document).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_passages_latency_and_states_are_told_under_their_labels():
    found = samples(DOCUMENT)
    assert found["edged_up", ()] == 1
    assert found["edged_encounters_total", (("camera", "door"), ("outcome", "none"))] == 1
    assert found["edged_latency_seconds_bucket", (("camera", "door"), ("le", "0.01"))] == 3
    assert found["edged_latency_seconds_bucket", (("camera", "door"), ("le", "+Inf"))] == 6
    assert found["edged_latency_seconds_sum", (("camera", "door"),)] == 0.5
    assert found["edged_camera_state", (("camera", "door"), ("state", "online"))] == 1
    assert found["edged_camera_state", (("camera", "door"), ("state", "stalled"))] == 0
    assert ("edged_temperature_celsius", ()) not in found


def test_a_dead_daemon_is_told_and_nothing_else_is_made_up():
    found = samples(None)
    assert found["edged_up", ()] == 0
    assert len(found) == 2


def test_four_cameras_stay_below_the_promised_number_of_series():
    assert len(samples({**DOCUMENT, "cameras": {f"camera-{n}": CAMERA for n in range(4)}})) <= 400


def test_the_board_and_the_rules_ask_only_for_what_there_is():
    known = {name for name, _ in samples({**DOCUMENT, "temperature_c": 50.0})}
    board = json.loads((CONFIG / "grafana-edged.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += re.findall(r"^ *expr: (.*)$", (CONFIG / "edged-alerts.yml").read_text(), re.MULTILINE)
    assert len(asked) > 15
    names = {name for text in asked for name in re.findall(r"\bedged_\w+", text)}
    assert names <= known, names - known
    assert all(panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in board["panels"])
    assert (board["id"], "__inputs" in board) == (None, False)


def test_however_many_read_the_figures_the_daemon_is_asked_once_a_second(tmp_path):
    asked = []

    def answer(line):
        asked.append(line)
        return json.dumps({"v": 1, "ok": False, "error": "the record cannot be read"}).encode()

    with Console(tmp_path, {"console": {"metrics": True}}) as console:
        server = LineServer("status", socket_path(console.database), answer, use="the test")
        server.open()
        server.start()
        try:
            browser, began = console.start().browser(), time.monotonic()
            for _ in range(30):
                assert browser.get("/metrics").status == 200
            assert len(asked) <= 2 + (time.monotonic() - began) / METRICS_S
        finally:
            assert server.stop(60)


def test_figures_are_off_until_the_config_says_so_and_need_no_login(tmp_path):
    with Console(tmp_path, {"console": {"metrics": True}}) as console:
        answer = console.start().browser().get("/metrics")
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")
        assert "edged_up 0.0" in answer.text
