"""Scores detections anew after a closer look at each: the second stage of a cascade (Viola and Jones, CVPR 2001).

The first network sees a whole picture and must be fast; the second sees one detection with what is around it, larger, and
has only to say whether it is a face. It corrects fists, coins and prints that the first takes for faces, and dark or turned
faces of which the first is not sure. Sure detections are not looked at again: in most pictures there is nothing to do.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edged.crops import square_crops
from edged.detect.boxes import AT_PLACE, beside
from edged.errors import ModelError
from edged.ports import NONE_KNOWN, Engine, Known, NearbyDetector
from edged.types import Box, Detection, Image

CROP_SIZE = 80
"""Side of the network's input, in pixels."""
CROP_MARGIN = 2.0
"""Side of the square cut from the picture, in units of the detection's longer side: hair, neck and shoulders help."""
MAX_BATCH = 32
WORTH_IT, SURE = 0.1, 0.9
"""Detections that score less are none, those that score more are faces: only the others are looked at again. There are some
forty of them in a picture of people."""
WEAK_LOSS = 0.7
"""What the score of the former loses, in logits, so that they stay behind the others."""


class RescoredDetector:
    """Implements `edged.ports.NearbyDetector`: the detections of another one, scored anew.

    The engine takes `faces` uint8 [batch, 80, 80, 3] (BGR, rows first) and gives `evidence` float32 [batch]: what is added to
    the logit of the detection's score.
    """

    def __init__(self, detector: NearbyDetector, engine: Engine, least_score: float, begins_from: float | None) -> None:
        """`detector` returns what scores at least `least_score`; what scores less in the end is dropped.

        `begins_from`: the score from which a detection may begin a track; None where no tracks are made of them and each counts.
        Where tracks are made, weaker ones are not looked at, except those of people who were not clearly seen before, and no
        score rises.
        One or two detections of a full pass are looked at on a camera. Evidence over time is what makes a track a person there:
        raised scores of weak detections made persons of what was none on the recordings with known truth.
        """
        self._detector, self._engine, self._least = detector, engine, least_score
        self._from = WORTH_IT if begins_from is None else begins_from
        self._most = np.inf if begins_from is None else 0.0
        self._crops = np.empty((MAX_BATCH, CROP_SIZE, CROP_SIZE, 3), np.uint8)

    def detect(self, image: Image, known: Known = NONE_KNOWN) -> list[Detection]:
        """All faces, best score first. Raise ModelError when an engine's answer is not a detector's."""
        return self._rescored(image, self._detector.detect(image), known)

    def detect_around(self, image: Image, boxes: Sequence[Box], known: Known = NONE_KNOWN) -> list[Detection] | None:
        """See `NearbyDetector`."""
        found = self._detector.detect_around(image, boxes)
        return None if found is None else self._rescored(image, found, known)

    def _rescored(self, image: Image, found: list[Detection], known: Known) -> list[Detection]:
        found = [one if one.score >= WORTH_IT else _with_gain(one, -WEAK_LOSS) for one in found]
        unsure = self._unsure(found, known)
        for start in range(0, len(unsure), MAX_BATCH):
            places = unsure[start : start + MAX_BATCH]
            evidence = self._evidence(image, [found[place].box for place in places])
            for place, gain in zip(places, evidence.tolist(), strict=True):
                found[place] = _with_gain(found[place], gain)
        kept = [detection for detection in found if detection.score >= self._least]
        return sorted(kept, key=lambda detection: -detection.score)

    def _unsure(self, found: Sequence[Detection], known: Known) -> list[int]:
        """The places of those that are worth a second look."""
        unsure = [place for place, one in enumerate(found) if self._from <= one.score <= SURE]
        unsure = [unsure[k] for k in beside([found[place].box for place in unsure], known.people)]
        weak = [place for place, one in enumerate(found) if WORTH_IT <= one.score < self._from]
        apart = {weak[k] for k in beside([found[place].box for place in weak], known.unclear, AT_PLACE)}
        return unsure + [place for place in weak if place not in apart]

    def _evidence(self, image: Image, boxes: Sequence[Box]) -> NDArray[np.float32]:
        """One number for each of at most MAX_BATCH boxes."""
        crops = square_crops(image, boxes, CROP_SIZE, CROP_MARGIN, self._crops)
        evidence = self._engine.run({"faces": crops}).get("evidence")
        if evidence is None or evidence.shape != (len(boxes),) or not np.isfinite(evidence).all():
            raise ModelError(
                f"model {self._engine.name}: its answer is not {len(boxes)} numbers; "
                "it is not a rescorer of edged's: name another in the config"
            )
        return np.asarray(np.minimum(evidence, self._most), np.float32)


def _with_gain(detection: Detection, gain: float) -> Detection:
    return replace(detection, score=shifted(detection.score, gain))


def shifted(score: float, gain: float) -> float:
    """The score whose logit is `gain` more than that of `score`; both 0 to 1."""
    odds = score * float(np.exp(gain))
    return odds / (odds + 1 - score)
