"""When prefix, name or discovery prefix change, the daemon knows what it left on the broker, and has it forgotten."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import Mosquitto, needs_mosquitto, retained, until

from edged.config import Config
from edged.config.load import parse_config
from edged.daemon.announced import MOST_FORMER, Announced
from edged.errors import StoreError
from edged.publish import Former
from edged.records import MetaRow

OF_THE_DEVICE = ("state", "report/daily", "availability")


class Memory:
    """What the store remembers, by its reader and its worker."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.readable = True

    def meta(self, key: str) -> str | None:
        if not self.readable:
            raise StoreError("edged.db: cannot be read")
        return self.rows.get(key)

    def submit(self, rows: Sequence[MetaRow]) -> None:
        self.rows |= {row.key: row.value for row in rows}


def settings(*cameras: str, **mqtt: object) -> Config:
    raw = {"camera": {name: {"source": "file:///a"} for name in cameras}, "mqtt": {"host": "broker", **mqtt}}
    return parse_config(raw, Path("edged.toml"))


def start(memory: Memory, config: Config, device: str = "dev1") -> tuple[Announced, list[Former]]:
    """As the daemon does at its start: what is to be withdrawn elsewhere."""
    announced = Announced(memory, memory)  # type: ignore[arg-type]
    return announced, reload(announced, config, device)


def reload(announced: Announced, config: Config, device: str = "dev1") -> list[Former]:
    former = announced.former(config, device)
    if config.mqtt.discovery:
        announced.discovery(config, device)
    announced.gone(config)
    return former


HOMEASSISTANT = "homeassistant/device/edged_dev1/config"
DOOR = ("camera/door/status", "camera/door/counts")


def test_while_nothing_changes_there_is_nothing_to_withdraw():
    memory = Memory()
    assert start(memory, settings("door"))[1] == []
    assert start(memory, settings("door", "hall"))[1] == []


@pytest.mark.parametrize("restarts", [True, False])
def test_another_prefix_leaves_all_topics_behind_until_they_are_withdrawn(restarts):
    memory = Memory()
    announced, _ = start(memory, settings("door"))
    left = Former("edged/dev1", (*OF_THE_DEVICE, *DOOR), None)  # the description is at its old place, and new
    for _ in range(2):
        if restarts:
            announced, former = start(memory, settings(prefix="site"))
        else:
            former = reload(announced, settings(prefix="site"))
        assert former == [left]
    announced.withdrawn(left)
    assert reload(announced, settings(prefix="site")) == start(memory, settings(prefix="site"))[1] == []


def test_another_name_leaves_the_description_behind_too():
    memory = Memory()
    start(memory, settings("door"))
    assert start(memory, settings("door"), "dev2")[1] == [Former("edged/dev1", (*OF_THE_DEVICE, *DOOR), HOMEASSISTANT)]


def test_another_discovery_prefix_leaves_the_description_alone_behind():
    memory = Memory()
    start(memory, settings("door"))
    assert start(memory, settings("door", discovery_prefix="ha"))[1] == [Former("edged/dev1", (), HOMEASSISTANT)]
    assert start(memory, settings("door"))[1] == [Former("edged/dev1", (), "ha/device/edged_dev1/config")]


def test_what_was_never_announced_is_not_withdrawn():
    memory = Memory()
    start(memory, settings(discovery=False))
    assert start(memory, settings(discovery=False, discovery_prefix="ha"))[1] == []


def test_what_is_in_use_again_is_not_withdrawn():
    memory = Memory()
    start(memory, settings("door"))
    assert start(memory, settings("door", prefix="site"))[1]
    former = start(memory, settings("door"))[1]
    assert [one.root for one in former] == ["site/dev1"]


def test_a_topic_of_now_is_no_topic_of_before():
    """The state of a device called output was that of an output called state."""
    memory = Memory()
    raw = {"mqtt": {"host": "b"}, "output": {"state": {"kind": "gpio", "line": "RED", "when": ["mask_none"]}}}
    start(memory, parse_config(raw, Path("edged.toml")), "hall")
    (former,) = start(memory, settings(prefix="edged/hall"), "output")[1]
    assert former.topics == OF_THE_DEVICE


def test_a_database_that_cannot_be_read_is_compared_with_later():
    memory = Memory()
    start(memory, settings("door"))
    memory.readable = False
    assert start(memory, settings("door", prefix="site"))[1] == []
    memory.readable = True
    assert [one.root for one in start(memory, settings("door", prefix="site"))[1]] == ["edged/dev1"]


def test_only_the_newest_places_are_remembered():
    memory = Memory()
    for number in range(20):
        former = start(memory, settings("door", prefix=f"site{number}"))[1]
    assert [one.root for one in former] == [f"site{number}/dev1" for number in range(19 - MOST_FORMER, 19)]


@pytest.mark.parametrize("stored", ["null", "[]", '{"root": 1}', "[1, {}, null]", '[{"root": "a", "topics": 3}]', "no"])
def test_whatever_is_remembered_is_no_obstacle(stored):
    memory = Memory()
    memory.rows = {"published_as": stored, "published_before": stored, "retained": stored}
    assert start(memory, settings("door"))[1] == []


def is_all_below(broker: Mosquitto, *roots: str) -> bool:
    def is_so() -> bool:
        topics = retained(broker.port, "#")
        return all(topic.startswith(roots) for topic in topics) and len(topics) >= 5

    return until(is_so)


@needs_models
@needs_mosquitto
def test_the_broker_keeps_only_what_is_published_under_the_present_names(tmp_path: Path) -> None:
    cameras = {"door": looped(write_clip(tmp_path / "clip.mp4"))}
    daemon = Daemon(tmp_path / "daemon", cameras)
    with Mosquitto(tmp_path / "broker") as broker, daemon:
        daemon.write_config(cameras, port=broker.port)
        daemon.start()
        assert is_all_below(broker, "edged/dev1/", HOMEASSISTANT), daemon.log
        daemon.config.write_text(daemon.config.read_text().replace("[mqtt]", '[mqtt]\nprefix = "site"'))
        daemon.signal(signal.SIGHUP)
        assert is_all_below(broker, "site/dev1/", HOMEASSISTANT), daemon.log
        assert daemon.stop() == 0
        daemon.config.write_text(daemon.config.read_text().replace("dev1", "dev2"))
        daemon.start()
        assert is_all_below(broker, "site/dev2/", "homeassistant/device/edged_dev2/config"), daemon.log
        assert daemon.stop() == 0
