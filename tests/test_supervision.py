"""What the supervisor tells of the people present: by what each camera's profile follows, when it changed, never one by one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.mosquitto import Mosquitto, Subscriber, needs_mosquitto, until
from support.publishing import publishing
from support.storing import HandClock

from edged.config import Config
from edged.daemon.analysis import CameraActivity
from edged.daemon.state import CameraWatch, attention_counts, mask_counts
from edged.records import Message
from edged.store.recorder import Recorder

PROFILES = {"door": "entrance", "room": "classroom", "cab": "driver"}
CONFIG = Config.model_validate(
    {"camera": {name: {"source": "file:///x.mp4", "profile": profile} for name, profile in PROFILES.items()}}
)
MASKS = {"correct": 2, "incorrect": 0, "none": 1, "uncertain": 0}
ATTENTION = {"present": 3, "attentive": 1, "away": 1, "drowsy": 1, "unknown": 1}
SEEN = CameraActivity(frames=9, counts=MASKS, attention=ATTENTION)


class Told:
    """A supervisor's watch over cameras whose activity is set by hand, and what it retains."""

    def __init__(self, retain: Any = None) -> None:
        clock = HandClock()
        self.retained: list[tuple[str, dict[str, Any], int]] = []
        self.activity: dict[str, CameraActivity] = {}
        self._watch = CameraWatch(Recorder(clock, lambda _: None, publishing=True), clock, retain or self._keep)
        analysis = SimpleNamespace(activity=lambda: self.activity)
        self._cameras = SimpleNamespace(workers={}, analysis=analysis)

    def look(self, **activity: CameraActivity) -> None:
        self.activity = activity
        self._watch.supervise(CONFIG, self._cameras)

    def _keep(self, message: Message) -> None:
        self.retained.append((message.topic, json.loads(message.payload), message.qos))


def test_each_profile_tells_what_it_follows():
    told = Told()
    told.look(door=SEEN, room=SEEN, cab=SEEN)
    payloads = {topic: payload for topic, payload, _ in told.retained}
    assert payloads.keys() == {
        "camera/door/counts", "camera/room/counts", "camera/room/attention", "camera/cab/attention",
    }  # fmt: skip
    cab, room = (payloads[f"camera/{name}/attention"] for name in ("cab", "room"))
    assert {key: cab[key] for key in ATTENTION} == ATTENTION
    assert {key: room[key] for key in ATTENTION} == ATTENTION | {"drowsy": None}, "nobody asked: null, not zero"
    assert payloads["camera/cab/attention"].keys() == {"v", "ts", "static", *ATTENTION}
    assert {qos for _, _, qos in told.retained} == {0}


def test_nothing_is_told_before_the_first_frame_and_nothing_twice():
    told = Told()
    told.look(cab=CameraActivity())
    assert told.retained == []
    for _ in range(3):
        told.look(cab=SEEN)
    assert len(told.retained) == 1
    told.look(cab=CameraActivity(attention=ATTENTION | {"away": 0, "attentive": 2}))
    assert [payload["attentive"] for _, payload, _ in told.retained] == [1, 2]


def test_another_connection_to_the_broker_is_told_everything_again():
    told = Told()
    told.look(cab=SEEN)
    told.look(cab=SEEN)
    assert len(told.retained) == 1
    told._watch.publish_again()
    told.look(cab=SEEN)
    assert len(told.retained) == 2


@pytest.mark.parametrize(
    ("camera", "masks", "attention"), [("door", True, False), ("room", True, True), ("cab", False, True)]
)
def test_the_status_has_the_same_counts(camera: str, masks: bool, attention: bool):
    tasks = CONFIG.camera[camera].tasks
    assert (mask_counts(tasks, SEEN) is not None) is masks
    assert (attention_counts(tasks, SEEN) is not None) is attention


@needs_mosquitto
def test_a_subscriber_who_comes_late_still_hears_who_is_attentive(tmp_path: Path):
    with Mosquitto(tmp_path / "broker") as broker:
        with Subscriber(broker.port, "edged/dev1/camera/#") as subscriber, publishing(broker.port) as publisher:
            told = Told(publisher.retain)
            told.look(cab=SEEN)
            assert until(lambda: subscriber.payloads("edged/dev1/camera/cab/attention"))
            told.look(cab=CameraActivity(attention=ATTENTION | {"drowsy": 0}))
            assert until(lambda: len(subscriber.payloads("edged/dev1/camera/cab/attention")) == 2)
            assert {(message.qos, message.retained) for message in subscriber.received} == {(0, False)}
        with Subscriber(broker.port, "edged/dev1/camera/#", "-i", "late") as late:
            assert until(lambda: late.received)
            (message,) = late.received
            assert message.retained
            payload = json.loads(message.payload)
            assert {key: payload[key] for key in ATTENTION} == ATTENTION | {"drowsy": 0}
            assert payload["v"] == 1
