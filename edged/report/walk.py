"""The walk test: somebody passes so often with a mask and so often without; what was expected, what was seen, and why."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edged.config import Config, MaskConfig
from edged.store import StoreReader

WITH, WITHOUT = 5, 5
PASSAGES = WITH + WITHOUT


@dataclass(frozen=True, slots=True)
class Step:
    """One passage of the test."""

    passage: str
    """The encounter's identity."""
    expected: str
    got: str
    why: str
    """What led to `got`, for a person; empty where nothing needs to be said."""

    @property
    def ok(self) -> bool:
        return self.expected == self.got


def expected(number: int) -> str:
    """The state that passage `number`, counted from 0, should be given."""
    return "correct" if number < WITH else "none"


def walk_steps(passages: Iterable[Mapping[str, Any]], settings: MaskConfig, skip: Collection[str] = ()) -> list[Step]:
    """The first passages of the test among rows of `encounters` in their order; `skip` are those of others who passed by."""
    closed = [row for row in passages if row["closed"] and row["encounter_id"] not in skip][:PASSAGES]
    return [
        Step(str(row["encounter_id"]), expected(number), str(row["state"]), _why(row, settings))
        for number, row in enumerate(closed)
    ]


Unjudged = Literal["small", "few", "unsure"]


def why_unjudged(row: Mapping[str, Any], settings: MaskConfig) -> Unjudged:
    """Of a passage without a verdict: never near enough; votes that differ; else too few of them, or for too short a time."""
    if float(row["largest_face"] or 0) < settings.smallest_face:
        return "small"
    enough = _votes(row) >= settings.least_votes
    return "unsure" if enough and float(row["score"] or 0) < settings.enter_score else "few"


def _votes(row: Mapping[str, Any]) -> int:
    return sum(int(count) for count in (row["votes"] or {}).values())


def _why(row: Mapping[str, Any], settings: MaskConfig) -> str:
    face, votes = float(row["largest_face"] or 0), _votes(row)
    if row["state"] != "uncertain":
        return f"score {float(row['score'] or 0):.2f}, {votes} votes, {face:.0f} px"
    reason = why_unjudged(row, settings)
    if reason == "small":
        return (
            f"too far away: {face:.0f} px at most, {settings.smallest_face:g} are needed; go nearer, or move the camera"
        )
    if reason == "few":
        needed = (
            f"{settings.least_votes} are needed"
            if votes < settings.least_votes
            else f"and a verdict must stand for {settings.hold_seconds:g} s"
        )
        return f"seen too briefly or turned away: {votes} votes, {needed}"
    return f"the votes did not agree: best score {float(row['score'] or 0):.2f}, {settings.enter_score:g} is needed"


def settings_sha256(config: Config, camera: str) -> str:
    """A hash of all that decides the result of a walk past `camera`: a test speaks for these settings only."""
    decides = [config.camera[camera].model_dump(mode="json"), config.models.model_dump(mode="json")]
    return hashlib.sha256(
        json.dumps([*decides, config.events.model_dump(mode="json")], sort_keys=True).encode()
    ).hexdigest()


def meta_key(camera: str) -> str:
    """Where the store keeps the last walk test of a camera."""
    return f"walk_test.{camera}"


def result_of(config: Config, camera: str, steps: Collection[Step], now_ms: int) -> dict[str, Any]:
    """What is kept of a finished test."""
    return {
        "at": now_ms,
        "settings_sha256": settings_sha256(config, camera),
        "passages": len(steps),
        "as_expected": sum(step.ok for step in steps),
        "steps": [{"expected": step.expected, "got": step.got, "why": step.why} for step in steps],
    }


def walk_test(reader: StoreReader, config: Config, camera: str) -> dict[str, Any] | None:
    """The last walk test of `camera`; None without one, or where its settings have changed since. Raise StoreError."""
    text = reader.meta(meta_key(camera))
    try:
        kept = json.loads(text) if text else None
    except ValueError:
        return None
    if not isinstance(kept, dict) or kept.get("settings_sha256") != settings_sha256(config, camera):
        return None
    return kept
