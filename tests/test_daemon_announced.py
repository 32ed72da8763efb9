"""What the broker keeps of cameras that are no more, or that follow something else now: nothing."""

import signal
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, needs_mosquitto, retained, until

from edged import messages
from edged.daemon.announced import MOST_TOPICS
from edged.store import MetaRow, Store, StoreReader

pytestmark = [needs_models, needs_mosquitto]

OF_THE_DEVICE = {"availability", "state"}
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def kept(broker: Mosquitto) -> set[str]:
    """The device's topics of which the broker keeps a value."""
    topics = retained(broker.port, "edged/dev1/#")
    return {topic.removeprefix("edged/dev1/") for topic in topics} - {messages.REPORT_DAILY.at()}


def of(camera: str) -> set[str]:
    return {messages.CAMERA_STATUS.at(camera), messages.CAMERA_COUNTS.at(camera)}


def is_kept(broker: Mosquitto, topics: set[str]) -> bool:
    return until(lambda: kept(broker) == OF_THE_DEVICE | topics, PATIENCE_S)


def test_the_broker_forgets_a_camera_that_a_reload_or_a_restart_takes_away(clip: Path, tmp_path: Path) -> None:
    cameras = {"door": looped(clip), "hall": looped(clip), "yard": looped(clip)}
    daemon = Daemon(tmp_path, cameras)
    with Mosquitto(tmp_path / "broker") as broker, daemon:
        daemon.write_config(cameras, port=broker.port)
        daemon.start()
        assert is_kept(broker, of("door") | of("hall") | of("yard")), daemon.log

        del cameras["hall"]
        daemon.write_config(cameras, port=broker.port)
        daemon.signal(signal.SIGHUP)
        assert is_kept(broker, of("door") | of("yard")), daemon.log
        assert daemon.stop() == 0

        broker.stop()
        del cameras["yard"]
        daemon.write_config(cameras, port=broker.port)
        daemon.start()
        assert until(lambda: daemon.status().get("cameras"), PATIENCE_S)
        assert daemon.stop() == 0
        broker.start()
        assert kept(broker) == OF_THE_DEVICE | of("door") | of("yard"), "it was away when the camera went"

        daemon.start()
        assert is_kept(broker, of("door")), daemon.log

        cameras["yard"] = looped(clip)
        daemon.write_config(cameras, port=broker.port, camera_extra='profile = "driver"')
        daemon.signal(signal.SIGHUP)
        now = {topic.at(camera) for camera in cameras for topic in (messages.CAMERA_STATUS, messages.CAMERA_ATTENTION)}
        assert is_kept(broker, now), "a camera that is back, and counts that nobody makes any more"
        assert daemon.stop() == 0


def is_introduced(broker: Mosquitto) -> bool:
    """Whether the broker keeps the device's description for Home Assistant."""
    return retained(broker.port, "homeassistant/#") == {"homeassistant/device/edged_dev1/config"}


def test_home_assistant_forgets_the_device_when_discovery_is_turned_off(clip: Path, tmp_path: Path) -> None:
    cameras = {"door": looped(clip)}
    daemon = Daemon(tmp_path, cameras)
    with Mosquitto(tmp_path / "broker") as broker, daemon:
        daemon.write_config(cameras, port=broker.port)
        daemon.start()
        assert until(lambda: is_introduced(broker), PATIENCE_S), daemon.log
        daemon.config.write_text(daemon.config.read_text().replace("[mqtt]", "[mqtt]\ndiscovery = false"))
        daemon.signal(signal.SIGHUP)
        assert until(lambda: not is_introduced(broker), PATIENCE_S), daemon.log
        daemon.write_config(cameras, port=broker.port)
        daemon.signal(signal.SIGHUP)
        assert until(lambda: is_introduced(broker), PATIENCE_S), daemon.log
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    "stored", ['{"a": 1}', "[1, null]", "no json", str([f"camera/{i}/status" for i in range(900)])]
)
def test_whatever_is_remembered_the_daemon_starts_and_remembers_no_more_than_it_may(
    clip: Path, tmp_path: Path, stored: str
) -> None:
    daemon = Daemon(tmp_path, {"door": looped(clip)})
    with Mosquitto(tmp_path / "broker") as broker, daemon:
        daemon.write_config({"door": looped(clip)}, port=broker.port)
        store = Store(daemon.database)
        store.write([MetaRow("retained", stored.replace("'", '"'))])
        store.close()
        daemon.start()
        assert is_kept(broker, of("door")), daemon.log
        assert daemon.stop() == 0
    remembered = StoreReader(daemon.database).meta("retained") or ""
    assert of("door") <= {topic.strip(' "[]') for topic in remembered.split(",")}
    assert remembered.count(",") < MOST_TOPICS
