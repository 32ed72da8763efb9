"""Whether the device does its work, in one sentence, with what is wrong and what to do: the first thing a person reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "warning", "problem"]

CAMERA_WORDS = {
    "online": "Watching",
    "stalled": "No new picture",
    "reconnecting": "Being opened again",
    "offline": "Cannot be opened",
    "paused": "Paused",
}
CAMERA_ICONS = {"online": "✓", "stalled": "!", "reconnecting": "!", "offline": "✗", "paused": "‖"}
WHEN_DEAD = (
    "What to do: wait two minutes, since it is started again by itself. If it is not, switch the device off and on; or have"
    " somebody who can log in to it run `systemctl start edged` and `edged doctor`."
)


@dataclass(frozen=True, slots=True)
class Working:
    """The sentence, its level, and further lines."""

    level: Level
    text: str
    more: tuple[str, ...] = ()


def dead(why: str, last_watched: str | None) -> Working:
    """No daemon answers, because of `why`; `last_watched` is the time of the last minute that was watched."""
    since = f"Nothing has been watched since {last_watched}." if last_watched else "Nothing has been watched yet."
    return Working("problem", f"Not working: edged does not run. {since}", (WHEN_DEAD, f"Found: {sentence(why)}"))


def alive(status: Mapping[str, Any], names: Mapping[str, str], since: str) -> Working:
    """By the daemon's status. `names`: the cameras' for people; `since`: when the last of the watched ones came to be."""
    cameras: Mapping[str, Mapping[str, Any]] = status["cameras"]
    errors = tuple(sentence(line) for line in status["errors"])
    if paused := status.get("paused"):
        text = f"Paused by {paused['who']} for another {span(paused['left_s'])}. Nobody is watched."
        return Working("warning", text, errors)
    watched = sum(camera["status"] == "online" for camera in cameras.values())
    if not cameras:
        return Working("problem", "Not working: no camera is set up.", errors)
    count = f"{watched} of {len(cameras)} {'camera' if len(cameras) == 1 else 'cameras'} watched"
    if watched == len(cameras):
        level: Level = "warning" if errors else "good"
        return Working(level, f"Working: {count} since {since}.", errors)
    lost = ", ".join(names.get(name, name) for name, camera in cameras.items() if camera["status"] != "online")
    if watched:
        return Working("warning", f"Partly working: {count}. Not watched: {lost}.", errors)
    return Working("problem", f"Not working: {count}. Not watched: {lost}.", errors)


def sentence(line: str) -> str:
    """A line of the program as a sentence: with a capital, and a full stop."""
    text = line[:1].upper() + line[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def span(seconds: float) -> str:
    """How long, in the one unit that people would say."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{round(minutes / 60)} h"
    return f"{round(minutes / 1440)} days"
