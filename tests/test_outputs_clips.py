"""Films of eyes that close, through the real models to lamp and voice: the siren begins and ends when it should."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import cv2
import pytest
from support.daemon import needs_models
from support.output_scenes import Stage, told

from edged.assembly import build_pipeline, load_models, tasks_of
from edged.config.load import parse_config
from edged.types import Frame, Image

pytestmark = [needs_models, pytest.mark.slow]

FPS = 12
CAB = {
    "camera": {"cab": {"source": "file:///a.mp4", "profile": "driver", "fps": FPS}},
    "models": {"threads": 1, "smallest_face": 80},
    "output": {
        "buzzer": {"kind": "gpio", "when": ["drowsiness_alarm"], "line": "BUZZER"},
        "voice": {"kind": "sound", "when": ["drowsiness_notice"]},
    },
}


def pictures(path: Path) -> list[Image]:
    """About FPS of them for each second."""
    if not path.exists():
        pytest.skip(f"{path} is not there; EDGED_SHARED names the folder with the clips")
    reader, found = cv2.VideoCapture(str(path)), []
    step = reader.get(cv2.CAP_PROP_FPS) / FPS
    number = 0
    while (read := reader.read())[0]:
        if number >= len(found) * step:
            found.append(read[1])
        number += 1
    return found


def watched(film: Iterable[Image]) -> Stage:
    """The stage after the whole film."""
    config = parse_config(CAB, Path("edged.toml"))
    models = load_models(config.models, tasks_of(config))
    line = build_pipeline("cab", config.camera["cab"], config, models)
    stage = Stage(config)
    for number, image in enumerate(film):
        stage.clock.monotonic = number / FPS
        frame = Frame("cab", number, number / FPS, image)
        stage.worker.observe(frame, line.step(frame))
        stage.worker.step(number / FPS)
    return stage


def test_the_siren_begins_two_seconds_after_the_eyes_closed_and_ends_when_they_have_been_open_for_ten(shared):
    """Eyes shut from 5.77 to 8.11 s; then the clip's open eyes, to and fro."""
    film = pictures(shared / "data/video/eye_closure.mp4")
    awake = film[int(8.3 * FPS) :]
    again = itertools.islice(itertools.cycle([*awake, *reversed(awake)]), 13 * FPS)
    stage = watched([*film, *again])
    (began, on), (ended, off) = stage.lines["BUZZER"].changes
    assert (on, off) == (True, False)
    assert 7.6 <= began <= 8.2
    assert 17.6 <= ended <= 19.0
    played = told(stage.players["voice"].played).split()
    assert played[1::2] == ["voice/drowsiness", "alarm", "-"]
    assert float(played[0]) < began == float(played[2])
    assert float(played[4]) == ended


def test_a_long_yawn_sounds_no_siren(shared):
    stage = watched(pictures(shared / "cases/d6_yawning_webcam.mp4"))
    assert stage.lines["BUZZER"].changes == []
    assert stage.players["voice"].played == []
