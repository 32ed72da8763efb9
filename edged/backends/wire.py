"""What crosses between a preparation's child process and its parent: one order down, then messages up, a JSON object each."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edged.backends.verdict import Verdict
from edged.config import ModelsConfig
from edged.inference.tensorrt import EngineKey

MOST_BYTES_OF_A_MESSAGE = 65_536


@dataclass(frozen=True, slots=True)
class Progress:
    """What a preparation is doing, and which part of all of it (0 … 1) is done."""

    what: str
    part: float


class _Crossing(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> bytes:
        return self.model_dump_json().encode()


class Order(_Crossing):
    """One model to prepare."""

    model: str
    folder: Path
    """Of the plans."""
    models: ModelsConfig
    force: bool = False
    """Build and judge anew, whatever is known."""


class Message(_Crossing):
    """One of these: how far the child is, under which key it is going to build, or, last of all, what came of it."""

    progress: Progress | None = None
    key: EngineKey | None = None
    verdict: Verdict | None = None
