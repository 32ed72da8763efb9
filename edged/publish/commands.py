"""Turns a message on `cmd/<verb>`, or a line on the request socket, into a `Command` or a `Refusal` that says what is wrong."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edged import messages
from edged.records import Message
from edged.sockets import MOST_LINE_BYTES

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "acknowledge": ("output", "who"),
    "pause": ("minutes", "until", "who"),
    "reload": (),
    "report": ("date",),
    "restart": (),
    "resume": ("who",),
    "selftest": (),
}
"""Every command, and its arguments beside `request_id`; other keys are left out."""

LOCAL: Final[Mapping[str, tuple[str, ...]]] = {
    "configure": ("set", "undo", "try", "read", "who", "mqtt_password"),
    "walktest": ("camera", "since", "skip"),
    "test": ("output", "seconds"),
}
"""Commands of the request socket only, whose arguments may be any JSON: a broker's users must not change settings."""

LONGEST_BYTES = 4096
"""A command is a verb, a request id and a few arguments; anything larger was not meant for us."""

DEEPEST = 8
"""Lists and objects within one another that an argument of a local command may hold."""

LONGEST_TEXT = 256
"""Characters of a request id or a date."""

ANSWERABLE = re.compile(r"[A-Za-z0-9_-]{1,63}")
"""Verbs that can stand in the topic of a result; others are a mistake in the topic."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something a person asked for. `payload` holds at most a `request_id`, to be echoed in the result, and the verb's arguments.

    All of them can be written as JSON again: a number is finite, a text is Unicode, neither is long.
    """

    verb: str
    payload: dict[str, Any]
    answer: Callable[[dict[str, Any]], None] | None = field(default=None, compare=False)
    """Takes the result's document, from any thread; None of one that came over MQTT."""


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
    content = _content(payload, LONGEST_BYTES)
    return Refusal(verb, content, {}) if isinstance(content, str) else _command(verb, content, VERBS)


def parse_request(line: bytes, questions: Collection[str] = ()) -> Command | Refusal:
    """What a line on the request socket asks for: a command, or one of `questions`; an empty one asks for the status. Raises
    nothing, whatever the bytes.
    """
    content = _content(line.strip() or b'{"verb": "status"}', MOST_LINE_BYTES)
    if isinstance(content, str):
        return Refusal("", content, {})
    verb = content.get("verb")
    known = {**dict.fromkeys(questions, ()), **VERBS, **LOCAL}
    if not isinstance(verb, str) or not ANSWERABLE.fullmatch(verb):
        return Refusal("", f"names no verb; known here: {', '.join(sorted(known))}", {})
    return _command(verb, content, known)


def _content(text: bytes, most: int) -> dict[str, Any] | str:
    """The JSON object, or what is wrong with it."""
    if len(text) > most:
        return f"the command is longer than {most} bytes, and was not read"
    try:
        content = json.loads(text or b"{}", parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return f'not JSON ({_words(error)}); a command is an object, as in {{"request_id": "7"}}'
    return content if isinstance(content, dict) else 'a command is a JSON object, as in {"request_id": "7"}'


def _command(verb: str, content: Mapping[str, Any], verbs: Mapping[str, tuple[str, ...]]) -> Command | Refusal:
    known = {key: content[key] for key in ("request_id", *verbs.get(verb, ())) if key in content}
    plain = ("request_id",) if verb in LOCAL else known
    wrong = [key for key in plain if key in known and not _can_be_echoed(known[key])]
    kept = {key: value for key, value in known.items() if key not in wrong}
    if wrong:
        return Refusal(
            verb, f"{' and '.join(wrong)}: must be a text of at most {LONGEST_TEXT} characters or a number", kept
        )
    if verb in LOCAL and not _can_be_written(known):
        echoed = {"request_id": kept["request_id"]} if "request_id" in kept else {}
        return Refusal(verb, f"holds more than {DEEPEST} lists and objects in one another, or no Unicode text", echoed)
    if verb not in verbs:
        return Refusal(verb, f"unknown command; known here: {', '.join(sorted(verbs))}", kept)
    return Command(verb, kept)


def result(answer: Mapping[str, Any], to: Command | Refusal) -> Message:
    """The message on `cmd/<verb>/result`."""
    return messages.COMMAND_RESULT.message(result_document(answer, to), to.verb)


def result_document(answer: Mapping[str, Any], to: Command | Refusal) -> dict[str, Any]:
    """What is answered, over MQTT and on the request socket."""
    request = {key: to.payload[key] for key in ("request_id",) if key in to.payload}
    return {"v": 1, **request, **answer}


def _can_be_echoed(value: object) -> bool:
    """Whether `value` is plain, short, and can be written as JSON in UTF-8."""
    if not (value is None or isinstance(value, str | int | float)):
        return False
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return len(str(value)) <= LONGEST_TEXT
    except ValueError:  # infinity, a lone surrogate, or an integer with more digits than Python prints
        return False


def _can_be_written(arguments: Mapping[str, Any]) -> bool:
    """Whether whoever carries it out may walk through all of it, and write it as UTF-8."""
    level: list[Any] = list(arguments.values())
    for _ in range(DEEPEST + 1):
        level = [
            part
            for value in level
            if isinstance(value, list | dict)
            for part in (value if isinstance(value, list) else value.values())
        ]
    try:
        json.dumps(arguments, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # a lone surrogate, or an integer with more digits than Python prints
        return False
    return not level


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
