"""What `/api/v1` of the console answers and takes, where MQTT or the command line do not have it already."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

from edged.payloads.basics import Count, Instant, documented
from edged.payloads.lines import EventLine
from edged.payloads.mqtt import CheckedModel, Preparation
from edged.types import CameraStatus

closed = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))
"""A document that may hold nothing else."""


@documented
class Problem(TypedDict):
    """Why there is no answer."""

    ok: Literal[False]
    error: str
    """One line for a person, with the remedy."""


@documented
class BrokerState(TypedDict):
    """The broker's connection."""

    configured: bool
    connected: bool


@documented
class CameraState(TypedDict):
    """One camera as it is now."""

    name: str | None
    """For people."""
    profile: str
    status: CameraStatus
    reason: str | None
    since_s: float
    frames_seen: Count
    frames_analysed: Count
    counts: dict[str, int] | None
    """People present by mask state."""


@documented
class WorkingState(TypedDict):
    """Whether the device does its work, as the console's first page says it."""

    level: Literal["good", "warning", "problem"]
    text: str
    more: list[str]
    """What is wrong, one sentence each, with the remedy."""


@documented
class DaemonStatus(TypedDict):
    """What the running daemon says of itself, as `edged status --json`; there may be more keys."""

    device: str
    version: str
    uptime_s: float
    mode: Literal["normal", "degraded"]
    models: dict[str, str]
    preparing: Preparation | None
    clock_synced: bool
    temperature_c: float | None
    outbox: Count | None
    errors: list[str]
    """One line each, with the remedy."""
    working: WorkingState
    broker: BrokerState
    cameras: dict[str, CameraState]


@documented
class Cameras(TypedDict):
    """The cameras, by their names in the config."""

    cameras: dict[str, CameraState]


@documented
class Events(TypedDict):
    """Events, newest first."""

    events: list[EventLine]


@documented
class StoredReport(TypedDict):
    """A finished day's report, without its text."""

    day: str
    revision: Count
    created: Instant


@documented
class Reports(TypedDict):
    """Oldest day first."""

    reports: list[StoredReport]


def _whole(value: Any) -> Any:
    """60.0 is a whole number in JSON, which knows no other kind of numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Minutes = Annotated[int, Field(ge=1, le=1440, strict=True), BeforeValidator(_whole)]


@with_config(
    ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"not": {"required": ["minutes", "until"]}},
    )
)
class PauseRequest(TypedDict, total=False):
    """How long no camera is watched: one of the two; 10 minutes when both are left out."""

    minutes: Minutes
    until: Literal["tomorrow"]


@closed
class Nothing(TypedDict):
    """An empty object; an empty body will do, too."""


@documented
class SelfTestState(TypedDict):
    """The self-test that was asked for last."""

    running: bool
    error: str
    """Why it could not run, or what was not as it should be; empty else."""
    results: list[CheckedModel]


@documented
class Document(TypedDict):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: NotRequired[dict[str, Any]]
