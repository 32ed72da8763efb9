"""Turns a message on `cmd/<verb>` into a `Command`, or into nothing."""

import json
from dataclasses import dataclass
from typing import Any

from edged import messages

VERBS = frozenset({"report", "reload", "restart", "selftest"})
# A command is a verb and a request id; anything larger was not meant for us.
LONGEST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person asked for. `payload` may hold a `request_id` to be echoed in the result."""

    verb: str
    payload: dict[str, Any]


def parse_command(topic: str, payload: bytes, *, retained: bool) -> Command | None:
    """The command in a message on relative `topic`, None when it is none of ours.

    A retained one is old: it would run again at every connect.
    """
    folder, _, verb = topic.rpartition("/")
    if retained or folder != messages.COMMANDS or verb not in VERBS or len(payload) > LONGEST_BYTES:
        return None
    try:
        content = json.loads(payload or b"{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return Command(verb, content) if isinstance(content, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
