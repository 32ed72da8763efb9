"""The JSON Schemas of what leaves the device, generated from the types in `edged.payloads`."""

from typing import Any

from pydantic import TypeAdapter

from edged import __version__
from edged.messages import COMMANDS, TOPICS
from edged.payloads.basics import adapter
from edged.payloads.lines import AnalysedLine, EventLine
from edged.payloads.mqtt import Command
from edged.payloads.period import PeriodDocument
from edged.payloads.report import ReportDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LINES: dict[str, Any] = {"events": EventLine, "report": ReportDocument | PeriodDocument, "analyze": AnalysedLine}
"""Each line of what these commands print as JSON."""

NAMES = ("mqtt", *LINES)


def document(name: str) -> dict[str, Any]:
    """The schema of that name, one of NAMES."""
    about = {"$schema": DIALECT, "title": f"edged {__version__}: {name}"}
    return about | (_mqtt() if name == "mqtt" else {**schema_of(LINES[name]), **about})


def schema_of(payload: Any) -> dict[str, Any]:
    """The schema of one of the types in `edged.payloads`."""
    return adapter(payload).json_schema()


def _mqtt() -> dict[str, Any]:
    """One schema that every payload meets; under `x-topics` which topic has which, below `<prefix>/<device>/`."""
    payloads = {topic.name: topic.payload for topic in TOPICS} | {f"{COMMANDS}/{{verb}}": Command}
    found, definitions = TypeAdapter.json_schemas(
        [(topic, "serialization", adapter(payload)) for topic, payload in payloads.items()]
    )
    delivered = {topic.name: {"qos": topic.qos, "retain": topic.retain} for topic in TOPICS}
    topics = {topic: delivered.get(topic, {}) | {"payload": found[topic, "serialization"]} for topic in payloads}
    return {"anyOf": [entry["payload"] for entry in topics.values()], "x-topics": topics, **definitions}
