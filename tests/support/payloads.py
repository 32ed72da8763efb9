"""Holds every payload that a test hears, prints or makes against the JSON Schemas that `edged schema` prints.

The support of brokers and of the command line comes here by itself; what was wrong fails the test it happened in (see
`conftest.py`). Payloads that tests make up, to see how anything is delivered, are told apart by `own`.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from edged import messages, report
from edged.payloads.report import ReportDocument
from edged.records import Message
from edged.schemas import LINES, schema_of

PROBLEMS: list[str] = []
"""What was wrong since the last test."""

_OWN: set[str] = set()
_TOPICS = [(re.compile(re.sub(r"{\w+}", "[^/]+", topic.name) + "$"), topic) for topic in messages.TOPICS]
_NOT_OURS = re.compile(r"cmd/[^/]+$|(^|/)homeassistant/|/device/[^/]+/config$|\$SYS/")
"""Commands come from people; Home Assistant's documents are held against its own rules in test_publish_discovery.py."""


def own(topic: str, payload: str, qos: int = 1, **fields: Any) -> Message:
    """A message that a test makes up."""
    _OWN.add(payload)
    return Message(topic, payload, qos, **fields)


def check_message(topic: str, payload: str) -> None:
    """Note what is wrong with a message on `topic`, whole or relative; an empty payload takes a retained one back."""
    if payload in _OWN or not payload or _NOT_OURS.search(topic):
        return
    known = next((known for pattern, known in _TOPICS if pattern.search(topic)), None)
    if known is None:
        PROBLEMS.append(f"{topic}: nothing says what is published there")
    elif known is messages.AVAILABILITY:
        _check(known.payload, payload, topic)
    else:
        _check_text(known.payload, payload, topic)


def check_lines(name: str, text: str) -> None:
    """Note what is wrong with the lines of JSON that a command printed: `events` or `analyze`, or a whole `report`."""
    for line in text.splitlines():
        _check_text(LINES[name], line, f"edged {name}")


def check_document(payload: Any, document: Mapping[str, Any], where: str) -> None:
    """Note what is wrong with `document` as a `payload`, one of the types in `edged.payloads`."""
    _check(payload, json.loads(json.dumps(document)), where)


def _check_text(payload: Any, text: str, where: str) -> None:
    try:
        _check(payload, json.loads(text), where)
    except ValueError as error:
        PROBLEMS.append(f"{where}: no JSON ({error}): {text[:200]}")


def _check(payload: Any, document: Any, where: str) -> None:
    PROBLEMS.extend(
        f"{where}: {'/'.join(map(str, error.instance_path))}: {error.message[:300]}"
        for error in _validator(payload).iter_errors(document)
    )


@cache
def _validator(payload: Any) -> jsonschema_rs.Draft202012Validator:
    schema = schema_of(payload)
    for part in (schema, *schema.get("$defs", {}).values()):
        _close(part)
    jsonschema_rs.meta.validate(schema)
    return jsonschema_rs.Draft202012Validator(schema)


def _close(schema: dict[str, Any]) -> None:
    """Nothing may be there that the schema does not name: a reader may pass that over, the product may not."""
    if "properties" in schema:
        schema["additionalProperties"] = False


def watch() -> None:
    """Have every message and report that is made in this process checked. Call before anything imports `build_report`."""
    make_message, make_report = messages.Topic.message, report.build_report

    def message(topic: messages.Topic, *arguments: Any, **row: Any) -> Message:
        made = make_message(topic, *arguments, **row)
        check_message(made.topic, made.payload)
        return made

    def build_report(*arguments: Any, **more: Any) -> dict[str, Any]:
        made = make_report(*arguments, **more)
        check_document(ReportDocument, made, "report")
        return made

    messages.Topic.message = message
    report.build_report = build_report


def problems() -> list[str]:
    """What was wrong since the last call."""
    found = list(PROBLEMS)
    PROBLEMS.clear()
    return found
