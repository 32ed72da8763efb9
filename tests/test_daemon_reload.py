"""A reload swaps the daemon's parts whole, and hands over what the change does not concern."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

from edged.inference import default_engines_dir

pytestmark = [needs_models, needs_mosquitto]

PATIENCE_S = 90.0
DISCOVERY = "homeassistant/device/edged_dev1/config"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def camera(daemon: Daemon, name: str) -> dict[str, Any]:
    """What the status says of it; empty when there is none."""
    return dict(daemon.status().get("cameras", {}).get(name, {}))


def has_analysed(daemon: Daemon, name: str, frames: int) -> bool:
    return until(lambda: camera(daemon, name).get("frames_analysed", 0) >= frames, PATIENCE_S)


def reloaded(daemon: Daemon, times: int) -> bool:
    daemon.signal(signal.SIGHUP)
    return until(lambda: daemon.status().get("reload", {}).get("count") == times, PATIENCE_S)


def test_cameras_whose_settings_stay_go_on_and_so_does_the_session_with_the_broker(
    clip: Path, broker: Mosquitto, tmp_path: Path
) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip), "yard": looped(clip)}, port=broker.port)
    with Subscriber(broker.port, "#") as subscriber, daemon:
        daemon.start()
        assert has_analysed(daemon, "door", 20), daemon.log
        assert until(lambda: subscriber.payloads(DISCOVERY), PATIENCE_S)
        seen = camera(daemon, "door")["frames_seen"]
        daemon.write_config({"door": looped(clip), "hall": looped(clip)}, port=broker.port)
        assert reloaded(daemon, 1), daemon.log
        assert daemon.status()["reload"]["problem"] is None
        assert daemon.status()["cameras"].keys() == {"door", "hall"}
        assert camera(daemon, "door")["frames_seen"] >= seen, "its capture did not begin anew"
        assert has_analysed(daemon, "door", 5), "the new analysis gets its pictures"
        assert has_analysed(daemon, "hall", 5)
        introduced = [json.loads(text) for text in subscriber.payloads(DISCOVERY)]
        assert until(lambda: any("hall" in name for name in json.loads(subscriber.payloads(DISCOVERY)[-1])["cmps"]))
        assert not any("hall" in name for name in introduced[0]["cmps"])
        assert subscriber.payloads("edged/dev1/availability") == ["online"], "the connection was not given up"
        assert daemon.stop() == 0
        assert until(lambda: subscriber.payloads("edged/dev1/availability") == ["online", "offline"])
    assert daemon.log.count("camera door (") == 1, daemon.log
    assert "Traceback" not in daemon.log


def test_another_broker_leaves_the_capture_alone(clip: Path, broker: Mosquitto, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)})
    with Subscriber(broker.port, "edged/#") as subscriber, daemon:
        daemon.start()
        assert has_analysed(daemon, "door", 20), daemon.log
        seen = camera(daemon, "door")["frames_seen"]
        daemon.write_config({"door": looped(clip)}, port=broker.port)
        assert reloaded(daemon, 1), daemon.log
        assert camera(daemon, "door")["frames_seen"] >= seen
        assert until(lambda: subscriber.payloads("edged/dev1/camera/door/status"), PATIENCE_S)
        assert until(lambda: subscriber.payloads("edged/dev1/camera/door/violation"), PATIENCE_S), daemon.log
        assert daemon.stop() == 0


def test_a_change_of_the_report_leaves_analysis_alone(clip: Path, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)})
    with daemon:
        daemon.start()
        assert has_analysed(daemon, "door", 20), daemon.log
        analysed = camera(daemon, "door")["frames_analysed"]
        daemon.write_config({"door": looped(clip)}, extra='[report]\ntimezone = "Asia/Tokyo"')
        assert reloaded(daemon, 1), daemon.log
        assert "changed: report" in daemon.log
        assert camera(daemon, "door")["frames_analysed"] >= analysed
        assert daemon.stop() == 0


def test_a_config_whose_model_is_missing_changes_nothing(clip: Path, broker: Mosquitto, tmp_path: Path) -> None:
    engines = tmp_path / "engines"
    shutil.copytree(default_engines_dir(), engines)
    (engines / "eyes.onnx").unlink()
    environment = {"EDGED_ENGINES": str(engines)}
    daemon = Daemon(tmp_path, {"door": looped(clip)}, port=broker.port, environment=environment)
    with Subscriber(broker.port, "edged/#") as subscriber, daemon:
        daemon.start()
        assert has_analysed(daemon, "door", 20), daemon.log
        before = daemon.status()
        daemon.write_config({"door": looped(clip)}, port=broker.port + 1, camera_extra='profile = "driver"')
        assert reloaded(daemon, 1), daemon.log
        after = daemon.status()
        assert "eyes.onnx" in after["reload"]["problem"]
        assert after["config_sha256"] == before["config_sha256"]
        assert has_analysed(daemon, "door", before["cameras"]["door"]["frames_analysed"] + 5)
        assert subscriber.payloads("edged/dev1/availability") == ["online"]
        assert daemon.stop() == 0
