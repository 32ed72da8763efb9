"""The daemon with cameras that follow attention and drowsiness: a real video, the real models, a real broker."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until

from edged.assembly import EVERYTHING, model_names
from edged.config import ModelsConfig
from edged.inference import default_engines_dir, load_manifest

LOOKS_AWAY = """
[attention]
target_yaw = 80
target_pitch = 0
most_deviation = 45
long_seconds = 0.5
cooldown_seconds = 0
[drowsiness]
smallest_face = 32
"""
"""Whoever is seen looks anywhere but there, which is away at once."""


def readers_are_there() -> bool:
    manifest = load_manifest(default_engines_dir())
    names = model_names(ModelsConfig(), EVERYTHING)
    return all(name in manifest.entries and (manifest.directory / manifest.entry(name).file).exists() for name in names)


pytestmark = [
    needs_models,
    needs_mosquitto,
    pytest.mark.skipif(not readers_are_there(), reason="the models for landmarks, pose and eyes are not there"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def reload(daemon: Daemon) -> None:
    daemon.signal(signal.SIGHUP)


def payloads(subscriber: Subscriber, topic: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in subscriber.payloads(f"edged/dev1/{topic}")]


@pytest.mark.parametrize(("profile", "drowsiness"), [("classroom", False), ("driver", True)])
def test_people_who_look_away_are_told_of_recorded_and_reported(
    clip: Path, tmp_path: Path, profile: str, drowsiness: bool
) -> None:
    cameras = {"room": looped(clip)}
    daemon = Daemon(tmp_path, cameras)
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "edged/#") as subscriber, daemon:
        daemon.write_config(cameras, port=broker.port, extra=LOOKS_AWAY, camera_extra=f'profile = "{profile}"')
        daemon.start()
        alerts = lambda: [p["event_type"] for p in payloads(subscriber, "camera/room/violation")]  # noqa: E731
        assert until(lambda: "inattention_long" in alerts()), daemon.log
        assert until(lambda: any(p["away"] for p in payloads(subscriber, "camera/room/attention")))
        counts = payloads(subscriber, "camera/room/attention")[-1]
        assert (counts["drowsy"] is not None) is drowsiness
        assert profile == "driver" or until(lambda: payloads(subscriber, "camera/room/counts"))
        assert (payloads(subscriber, "camera/room/counts") == []) is (profile == "driver")
        status = daemon.status()
        assert status["cameras"]["room"]["profile"] == profile
        assert {"landmarks", "pose"} <= status["models"].keys()
        assert ("eyes" in status["models"]) is drowsiness
        assert until(lambda: daemon.count("SELECT count(*) FROM encounters WHERE closed AND attention IS NOT NULL"))
        assert daemon.stop() == 0
    (attention, drowsy), *_ = daemon.rows(
        "SELECT attention, drowsiness FROM encounters WHERE closed ORDER BY first_seen"
    )
    assert json.loads(attention)["away_s"] > 0
    assert (drowsy is not None) is drowsiness
    kinds = {kind for (kind,) in daemon.rows("SELECT DISTINCT kind FROM events")}
    assert "inattention" in kinds
    assert ("mask" in kinds) is (profile == "classroom")
    assert daemon.count("SELECT count(*) FROM events WHERE ended_at IS NULL") == 0
    assert "Traceback" not in daemon.log


def test_an_entrance_loads_none_of_it_until_a_reload_asks_for_it_and_home_assistant_hears_of_both(
    clip: Path, tmp_path: Path
) -> None:
    cameras = {"room": looped(clip)}
    daemon = Daemon(tmp_path, cameras)
    config = "homeassistant/device/edged_dev1/config"
    with Mosquitto(tmp_path / "broker") as broker, Subscriber(broker.port, "homeassistant/#") as subscriber, daemon:
        daemon.write_config(cameras, port=broker.port)
        daemon.start()
        assert until(lambda: subscriber.payloads(config)), daemon.log
        assert "room_attentive" not in json.loads(subscriber.payloads(config)[-1])["cmps"]
        assert until(lambda: daemon.status().get("models"))
        assert "landmarks" not in daemon.status()["models"]
        daemon.write_config(cameras, port=broker.port, camera_extra='profile = "classroom"')
        reload(daemon)
        assert until(lambda: "room_attentive" in json.loads(subscriber.payloads(config)[-1])["cmps"]), daemon.log
        assert until(lambda: "landmarks" in daemon.status()["models"])
        daemon.write_config(cameras, port=broker.port)
        reload(daemon)
        gone = {"p": "sensor"}
        assert until(lambda: json.loads(subscriber.payloads(config)[-1])["cmps"]["room_attentive"] == gone)
        assert daemon.stop() == 0
        told = len(subscriber.payloads(config))
        daemon.start()
        assert until(lambda: len(subscriber.payloads(config)) > told)
        assert json.loads(subscriber.payloads(config)[-1])["cmps"]["room_attentive"] == gone, (
            "remembered over a restart"
        )
        assert daemon.stop() == 0
