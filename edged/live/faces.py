"""What the models said of the people in one picture, as plain rows beside it: boxes and words from one and the same frame."""

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from edged.events.lifecycle import STATIC
from edged.pipeline import Outcome
from edged.types import Box, Detection, Face, Image, MaskVote

Row = dict[str, Any]
JUDGED = ("state", "score", "mask", "why_not_judged")
READ = ("why_not_read", "yaw", "pitch", "roll", "eyes", "mouth", "points", "attentive", "drowsiness")
UNKNOWN: Row = dict.fromkeys(JUDGED + READ)


def face_rows(outcome: Outcome, width: int, height: int) -> list[Row]:
    """One row for each track, each static face, and each weak detection without a track.

    `box` and `points` are shares of the picture's `width` and `height`; `width_px` is in the camera's own pixels. `state` and
    `score` are the standing verdict; `mask` is what this frame alone says, `found` the detector's score. What is not known
    is None, and `why_not_judged` and `why_not_read` say why.
    """
    votes = {vote.track: vote for vote in outcome.signals.masks}
    attention = {one.track: one.attentive for one in outcome.signals.attention}
    drowsiness = {one.track: one.level for one in outcome.signals.drowsiness}
    rows = []
    for face in outcome.faces:
        track = face.track
        states = {"attentive": attention.get(track.id), "drowsiness": drowsiness.get(track.id)}
        row = _row(track.box, width, height, track.id, track.detection)
        rows.append(row | _verdict(votes.get(track.id)) | _read(face, width, height) | states)
    static = [_row(face.box, width, height, face.track) | {"state": STATIC} for face in outcome.signals.static]
    return rows + static + [_row(found.box, width, height, None, found) for found in _unfollowed(outcome)]


def hidden_boxes(outcome: Outcome) -> list[Box]:
    """Where faces are or may be: everything found, however weak, everyone followed, in sight or not, and pictures of faces."""
    found = [detection.box for detection in outcome.detections]
    return found + [face.track.box for face in outcome.faces] + [face.box for face in outcome.signals.static]


def backlight(image: Image, boxes: Iterable[Box]) -> float | None:
    """How many times as bright as the widest face of `boxes` the rest of the picture is; None without a face in it."""
    box = max(boxes, key=lambda box: box.width, default=None)
    if box is None:
        return None
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    height, width = grey.shape
    left, top, right, bottom = (
        max(0, int(box.x1)),
        max(0, int(box.y1)),
        min(width, int(box.x2)),
        min(height, int(box.y2)),
    )
    face = grey[top:bottom, left:right]
    if not 0 < face.size < grey.size:
        return None
    whole, own = float(grey.sum(dtype=np.float64)), float(face.sum(dtype=np.float64))
    around = (whole - own) / (grey.size - face.size)
    return round(around / max(1.0, own / face.size), 2)


def _unfollowed(outcome: Outcome) -> Iterator[Detection]:
    followed = {id(face.track.detection) for face in outcome.faces}
    still = [face.box for face in outcome.signals.static]
    return (found for found in outcome.detections if id(found) not in followed and found.box not in still)


def _row(box: Box, width: int, height: int, track: int | None, found: Detection | None = None) -> Row:
    shares = (box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height)
    return UNKNOWN | {
        "box": [round(min(max(share, 0.0), 1.0), 4) for share in shares],
        "track": track,
        "found": None if found is None else round(found.score, 3),
        "width_px": round(box.width, 1),
        "side_px": round(box.side, 1),
    }


def _verdict(vote: MaskVote | None) -> Row:
    return {} if vote is None else {"state": vote.state.value, "score": round(vote.score, 3)}


def _read(face: Face, width: int, height: int) -> Row:
    pose, eyes, marks = face.pose, face.eyes, face.landmarks
    return {
        "mask": None if face.mask is None else [round(score, 3) for score in face.mask],
        "why_not_judged": face.unjudged,
        "why_not_read": face.unread,
        "yaw": None if pose is None else round(pose.facing_yaw, 1),
        "pitch": None if pose is None else round(pose.facing_pitch, 1),
        "roll": None if pose is None else round(pose.roll, 1),
        "eyes": None if eyes is None or eyes.open_probability is None else round(eyes.open_probability, 3),
        "mouth": None if face.mouth_ratio is None else round(face.mouth_ratio, 3),
        "points": None
        if marks is None
        else [[round(float(x) / width, 4), round(float(y) / height, 4)] for x, y in marks.points],
    }
