"""The clip that an emulated processor keeps up with: the demo's entrance, small, five pictures a second."""

from pathlib import Path

import cv2

from edged.demo.scene import Passage, make_scene
from edged.render import Wear

EVERY = 3
SIZE = (480, 270)
PASSAGES = (Passage(None, place=0.6), Passage(Wear.CORRECT, 1, 0.35))


def make_clip(path: Path) -> Path:
    whole = path.with_suffix(".whole.mp4")
    make_scene(whole, PASSAGES)
    reader = cv2.VideoCapture(str(whole))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15 / EVERY, SIZE)
    number = 0
    while True:
        there, picture = reader.read()
        if not there:
            break
        if number % EVERY == 0:
            writer.write(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA))
        number += 1
    writer.release()
    whole.unlink()
    return path
