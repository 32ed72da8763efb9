"""Books on events of any kind: each starts once and ends once, in order, and what leaves as JSON is JSON."""

import math
from collections import defaultdict
from collections.abc import Iterable

from edged.messages import encode
from edged.types import Event


def check_lives(told: Iterable[Event], *, ended: bool = True) -> dict[str, list[Event]]:
    """Each event's steps: one start, updates, one end; no time before the start; one alert at most; no NaN; scores to 1."""
    lives: dict[str, list[Event]] = defaultdict(list)
    for event in told:
        lives[event.key].append(event)
        assert math.isfinite(event.time_s)
        encode(dict(event.details))  # refuses what is no number
        assert event.score is None or 0 <= event.score <= 1
    for steps in lives.values():
        phases = [step.phase for step in steps]
        assert phases[0] == "start"
        assert set(phases[1:-1]) <= {"update"}
        assert (phases[-1] == "end") or not ended
        assert phases.count("start") == 1
        assert phases.count("end") <= 1
        assert sum(step.violation for step in steps) <= 1
        assert len({(step.camera, step.track, step.kind) for step in steps}) == 1
        if phases[-1] == "end":
            assert steps[-1].end_reason
            assert steps[-1].time_s >= steps[0].time_s
    return dict(lives)
