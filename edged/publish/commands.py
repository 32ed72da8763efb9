"""Turns a message on `cmd/<verb>` into a `Command`, a `Refusal` that says what is wrong with it, or nothing."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edged import messages
from edged.records import Message

VERBS = frozenset({"report", "reload", "restart", "selftest"})
LONGEST_BYTES = 4096
"""A command is a verb and a request id; anything larger was not meant for us."""

LONGEST_TEXT = 256
"""Characters of a request id or a date."""

ANSWERABLE = re.compile(r"[A-Za-z0-9_-]{1,63}")
"""Verbs that can stand in the topic of a result; others are a mistake in the topic."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person asked for. `payload` holds at most a `request_id`, to be echoed in the result, and a `date`.

    Both can be written as JSON again: a number is finite, a text is Unicode, neither is long.
    """

    verb: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that is none, and what is wrong with it; `payload` as in `Command`."""

    verb: str
    error: str
    payload: dict[str, Any]


def parse_command(topic: str, payload: bytes, *, retained: bool) -> Command | Refusal | None:
    """What a message on relative `topic` asks for, None when it is not for us. Raises nothing, whatever the bytes.

    A retained one is old: it would run again at every connect.
    """
    folder, _, verb = topic.rpartition("/")
    if retained or folder != messages.COMMANDS or not ANSWERABLE.fullmatch(verb):
        return None
    if len(payload) > LONGEST_BYTES:
        return Refusal(verb, f"the command is longer than {LONGEST_BYTES} bytes, and was not read", {})
    try:
        content = json.loads(payload or b"{}", parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return Refusal(verb, f'not JSON ({_words(error)}); a command is an object, as in {{"request_id": "7"}}', {})
    if not isinstance(content, dict):
        return Refusal(verb, 'a command is a JSON object, as in {"request_id": "7"}', {})
    known = {key: content[key] for key in ("request_id", "date") if key in content}
    wrong = [key for key, value in known.items() if not _can_be_echoed(value)]
    kept = {key: value for key, value in known.items() if key not in wrong}
    if wrong:
        return Refusal(
            verb, f"{' and '.join(wrong)}: must be a text of at most {LONGEST_TEXT} characters or a number", kept
        )
    if verb not in VERBS:
        return Refusal(verb, f"unknown command; known here: {', '.join(sorted(VERBS))}", kept)
    return Command(verb, kept)


def result(answer: Mapping[str, Any], to: Command | Refusal) -> Message:
    """The message on `cmd/<verb>/result`."""
    request = {key: to.payload[key] for key in ("request_id",) if key in to.payload}
    return messages.COMMAND_RESULT.message({"v": 1, **request, **answer}, to.verb)


def _can_be_echoed(value: object) -> bool:
    """Whether `value` is plain, short, and can be written as JSON in UTF-8."""
    if not (value is None or isinstance(value, str | int | float)):
        return False
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return len(str(value)) <= LONGEST_TEXT
    except ValueError:  # infinity, a lone surrogate, or an integer with more digits than Python prints
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(content := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _words(error: Exception) -> str:
    """Why it could not be read, without the bytes themselves."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    return "not UTF-8" if isinstance(error, UnicodeError) else str(error)[:80]
