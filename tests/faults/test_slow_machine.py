"""A machine that can only look at one picture in four tells the same events, at most a second apart."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.daemon import needs_models

from edged.assembly import MASK_ONLY, Models, build_pipeline, load_models
from edged.config import Config
from edged.demo.scene import FPS, PASSAGES, make_scene
from edged.errors import Unavailable
from edged.types import Frame, Image

pytestmark = needs_models
CONFIG = Config.model_validate({"camera": {"door": {"source": "csi://0"}}, "models": {"threads": 1}})


def scene(path: Path, passages: int) -> list[Image]:
    try:
        make_scene(path, PASSAGES[:passages])
    except Unavailable as error:
        pytest.skip(str(error))
    reader, pictures = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        pictures.append(np.asarray(cv2.resize(read[1], (480, 270), interpolation=cv2.INTER_AREA), np.uint8))
    reader.release()
    return pictures


def told(models: Models, pictures: list[Image], every: int) -> list[tuple[str, str, float]]:
    """The starts: kind, state and second."""
    pipeline, events = build_pipeline("door", CONFIG.camera["door"], CONFIG, models), []
    for number in range(0, len(pictures), every):
        events += pipeline.step(Frame("door", number, number / FPS, pictures[number])).events
    events += pipeline.finish(len(pictures) / FPS, "stopped").events
    return [(event.kind, event.state, event.time_s) for event in events if event.phase == "start"]


@pytest.mark.parametrize("passages", [3, pytest.param(len(PASSAGES), marks=pytest.mark.long)])
def test_a_quarter_of_the_pictures_tells_the_same_events_within_a_second(tmp_path: Path, passages: int) -> None:
    models, pictures = load_models(CONFIG.models, MASK_ONLY), scene(tmp_path / "scene.mp4", passages)
    whole, quarter = told(models, pictures, 1), told(models, pictures, 4)
    assert len(whole) >= passages // 2
    assert [event[:2] for event in quarter] == [event[:2] for event in whole]
    assert [abs(a - b) for (*_, a), (*_, b) in zip(whole, quarter, strict=True) if abs(a - b) > 1.0] == []
