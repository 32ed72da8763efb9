"""Whatever pictures come and models answer: a frame is analysed or refused in one line, and what is told are numbers."""

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from support.daemon import needs_models
from support.lives import check_lives

from edged.assembly import EVERYTHING, build_pipeline, load_models
from edged.config import Config
from edged.demo.scene import portrait_crowd
from edged.errors import EdgedError
from edged.ports import Engine
from edged.types import Event, Frame, Image

pytestmark = needs_models
CONFIG = Config.model_validate(
    {"camera": {"cab": {"source": "csi://0", "profile": "driver"}}, "models": {"threads": 1}}
)
SIZES = [0, 1, 2, 3, 7, 15, 16, 31, 33, 64, 100, 321, 640, 1281]


def anything_in_places(values: np.ndarray, chance: random.Random) -> np.ndarray:
    spoilt = values.copy()
    for _ in range(chance.randrange(1, 50)):
        spoilt.flat[chance.randrange(max(1, spoilt.size))] = chance.choice(
            [np.nan, np.inf, -np.inf, 1e30, -1e30, 0, -1]
        )
    return spoilt


def everywhere(values: np.ndarray, chance: random.Random) -> np.ndarray:
    return np.full_like(values, chance.choice([np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e6, 1e30, 0.5]))


def noise(values: np.ndarray, chance: random.Random) -> np.ndarray:
    """Among it tens of thousands of faces."""
    width = chance.choice([0.1, 1.0, 10.0, 1e4])
    return np.random.default_rng(chance.randrange(2**32)).normal(0, width, values.shape).astype(values.dtype)


def another_shape(values: np.ndarray, chance: random.Random) -> np.ndarray:
    shapes = [values[:0], values[0], values[None], values[..., :-1], values.reshape(-1), np.repeat(values, 2, axis=0)]
    return chance.choice([*shapes, np.array(0.5, np.float32), values.T])


def another_type(values: np.ndarray, chance: random.Random) -> np.ndarray:
    with np.errstate(all="ignore"):
        return values.astype(chance.choice([np.float16, np.float64, np.int32, np.bool_]))


SPOILS: list[Callable[[np.ndarray, random.Random], np.ndarray]] = [
    anything_in_places, anything_in_places, everywhere, everywhere, another_shape, another_shape, another_type, another_type,
    noise,  # costs as much as all others together
]  # fmt: skip


class Spoilt:
    """Implements `edged.ports.Engine` over another, whose answers it remembers by the inputs' shapes, and spoils on request."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.backend, self._engine = engine.name, engine.backend, engine
        self._known: dict[tuple[tuple[int, ...], ...], dict[str, np.ndarray]] = {}
        self.chance: random.Random | None = None

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        shapes = tuple(value.shape for value in inputs.values())
        if shapes not in self._known:
            self._known[shapes] = self._engine.run(inputs)
        answers = dict(self._known[shapes])
        if self.chance is not None:
            name = self.chance.choice(sorted(answers))
            if self.chance.random() < 0.05:
                del answers[name]
            else:
                answers[name] = self.chance.choice(SPOILS)(answers[name], self.chance)
        return answers


class Cab:
    """A driver's pipeline over engines that can be spoilt, and the events that it told."""

    def __init__(self) -> None:
        self.engines: list[Spoilt] = []
        models = load_models(CONFIG.models, EVERYTHING, self._spoilt)
        self.pipeline = build_pipeline("cab", CONFIG.camera["cab"], CONFIG, models)
        self.events: list[Event] = []
        self.time_s = 1000.0
        self.refused: list[str] = []

    def _spoilt(self, engine: Engine) -> Spoilt:
        self.engines.append(Spoilt(engine))
        return self.engines[-1]

    def show(self, picture: Image, step_s: float) -> None:
        self.time_s += step_s
        try:
            outcome = self.pipeline.step(Frame("cab", 0, self.time_s, picture))
        except EdgedError as error:
            self.refused.append(str(error))
            return
        json.dumps(asdict(outcome.signals), allow_nan=False, default=repr)
        self.events += outcome.events

    def close(self) -> None:
        self.events += self.pipeline.finish(self.time_s, "stopped").events
        check_lives(self.events)
        assert not [line for line in self.refused if "\n" in line]


@pytest.mark.parametrize("answers", [100, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, about the very numbers that are given
def test_whatever_a_model_answers_a_frame_is_analysed_or_refused(answers: int) -> None:
    cab, chance, picture = Cab(), random.Random(answers), portrait_crowd(2, 480, 270)
    for number in range(answers):
        for engine in cab.engines:
            engine.chance = None
        if number % 3:  # in between all is well, so that there are faces to be read
            chance.choice(cab.engines).chance = chance
        cab.show(picture, chance.choice([0.1, 0.2]))
    cab.close()
    assert answers // 20 < len(cab.refused) < answers * 2 // 3, "some are refused, and none that are as they should be"


@pytest.mark.parametrize("pictures", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_whatever_picture_comes_it_is_analysed(pictures: int) -> None:
    cab, chance = Cab(), random.Random(pictures)
    numbers, crowd = np.random.default_rng(pictures), portrait_crowd(2, 1281, 720)
    for _ in range(pictures):
        height, width = chance.choice(SIZES[:-1]), chance.choice(SIZES)
        match chance.randrange(4):
            case 0:
                picture = numbers.integers(0, 256, (height, width, 3)).astype(np.uint8)
            case 1:
                picture = np.full((height, width, 3), chance.randrange(256), np.uint8)
            case 2:  # a view, mirrored, not to be written
                picture = crowd[:height, :width][:, ::-1]
                picture.flags.writeable = False
            case _:
                picture = crowd[: max(1, height) * 2 : 2, : max(1, width)]
        cab.show(picture, chance.choice([0.1, 0.2, 3.0]))
    cab.close()
    assert cab.refused == []
