"""Whether the device does its work, in one sentence, with what is wrong and what to do: the first thing a person reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edged.console.site import Site
from edged.daemon.client import SILENT
from edged.errors import StoreError

Level = Literal["good", "warning", "problem"]

CAMERA_WORDS = {
    "online": "Watching",
    "stalled": "No new picture",
    "reconnecting": "Being opened again",
    "offline": "Cannot be opened",
    "paused": "Paused",
}
CLOCK = "the clock "
"""With this begins what the daemon says of its clock."""
CLOCK_UNSET = "The clock is not set yet: until it is, what is seen stands in no report and in no percentage."
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


def working(site: Site, status: Mapping[str, Any] | None, why_dead: str) -> Working:
    """The one rule, for every page and program: by the daemon's answer, or why there is none; the config's faults included."""
    if status is None:
        try:
            last = site.reader.last_watched()
        except StoreError:  # which the page says elsewhere
            last = None
        return dead("; ".join(filter(None, (site.problem, why_dead))), site.wall_clock(last) if last else None)
    watched = [camera["since_s"] for camera in status["cameras"].values() if camera["status"] == "online"]
    since = site.wall_clock(site.clock.utc_ms() - round(1000 * min(watched, default=0.0)))
    names = {name: site.camera_name(name) for name in status["cameras"]}
    return alive(status, names, since, [site.problem] if site.problem else [])


def dead(why: str, last_watched: str | None) -> Working:
    """No daemon answers, because of `why`; `last_watched` is the time of the last minute that was watched."""
    since = f"Nothing has been watched since {last_watched}." if last_watched else "Nothing has been watched yet."
    what = "edged does not answer" if SILENT in why else "edged does not run"
    return Working("problem", f"Not working: {what}. {since}", (WHEN_DEAD, f"Found: {sentence(why)}"))


def alive(status: Mapping[str, Any], names: Mapping[str, str], since: str, more: Sequence[str] = ()) -> Working:
    """By the daemon's status. `names`: the cameras' for people; `since`: when the last of the watched ones came to be; `more`:
    what else is wrong.
    """
    cameras: Mapping[str, Mapping[str, Any]] = status["cameras"]
    wrong = tuple(sentence(_named(line, names)) for line in (*status["errors"], *more))
    if not status["clock_synced"] and not any(line.startswith(CLOCK) for line in status["errors"]):
        wrong = (*wrong, CLOCK_UNSET)
    if paused := status.get("paused"):
        text = f"Paused by {paused['who']} for another {span(paused['left_s'])}. Nobody is watched."
        return Working("warning", text, wrong)
    watched = sum(camera["status"] == "online" for camera in cameras.values())
    if not cameras:
        return Working("problem", "Not working: no camera is set up.", wrong)
    count = f"{watched} of {len(cameras)} {'camera' if len(cameras) == 1 else 'cameras'} watched"
    if watched == len(cameras):
        count = f"{count} since {since}."
        if not wrong:
            return Working("good", f"Working: {count}")
        problems = "there is a problem" if len(wrong) == 1 else f"there are {len(wrong)} problems"
        return Working("warning", f"Working, but {problems}: {count}", wrong)
    lost = ", ".join(names.get(name, name) for name, camera in cameras.items() if camera["status"] != "online")
    if watched:
        return Working("warning", f"Partly working: {count}. Not watched: {lost}.", wrong)
    return Working("problem", f"Not working: {count}. Not watched: {lost}.", wrong)


def camera_words(state: Mapping[str, Any] | None) -> str:
    """A camera's state by the daemon's status, and why, where it is not well; None: no daemon answers for it."""
    if state is None:
        return "Not watched"
    words = CAMERA_WORDS.get(state["status"], str(state["status"]))
    return f"{words}: {state['reason']}" if state.get("reason") else words


def _named(line: str, names: Mapping[str, str]) -> str:
    """With the camera's name for people instead of the config's."""
    for camera, name in names.items():
        start = f"camera {camera} is "
        if line.startswith(start):
            return f"camera {name} is {line.removeprefix(start)}"
    return line


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
