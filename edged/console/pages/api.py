"""`/api/v1`: the same for programs, as JSON; its OpenAPI document is made from the table of operations below."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edged import __version__
from edged.console.access import Role
from edged.console.events import KIND_WORDS
from edged.console.route import asked_day, page, site_of, visitor_of
from edged.console.selftest import SELF_TEST
from edged.console.working import working
from edged.errors import Failed, UsageError
from edged.messages import iso
from edged.payloads.basics import adapter
from edged.payloads.console import (
    Cameras,
    DaemonStatus,
    Document,
    Events,
    Nothing,
    PauseRequest,
    Problem,
    Reports,
    SelfTestState,
)
from edged.payloads.mqtt import CommandResult
from edged.payloads.period import PeriodDocument
from edged.payloads.report import ReportDocument
from edged.report import Period, build_period
from edged.store import lasted_ms

BASE = "/api/v1"
MOST_EVENTS = 1000
LONGEST_NAME = 63
LATEST_MS = 253_402_300_799_999
DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "description": "A local day, like 2026-11-19"}
MILLISECONDS = {"type": "integer", "minimum": 0, "maximum": LATEST_MS, "description": "UTC milliseconds"}
PROBLEMS = {
    "400": "What was asked makes no sense",
    "401": "Nobody is logged in, and no token was shown",
    "403": "Not for viewers, or a form of another site",
    "404": "There is none",
    "405": "Not this method",
    "408": "The body came too slowly",
    "409": "The daemon refused",
    "413": "The body is too large",
    "429": "Too many wrong tokens",
    "503": "The daemon does not run, or the record cannot be read",
}

Answers = Callable[[Request], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the interface: what is asked, who may, and what is answered."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    answer: Answers
    response: Any
    role: Role = "viewer"
    body: Any = None
    query: Mapping[str, Mapping[str, Any]] | None = None
    segments: Mapping[str, Mapping[str, Any]] | None = None


def status(request: Request) -> Any:
    """With what the first page says of it."""
    site = site_of(request)
    answer = site.ask()
    return {**answer, "working": asdict(working(site, answer, ""))}


def cameras(request: Request) -> Any:
    return {"cameras": site_of(request).ask()["cameras"]}


def events(request: Request) -> Any:
    query = request.query_params
    if unknown := sorted(set(query) - set(EVENT_QUERY)):
        raise UsageError(f"{unknown[0][:40]}: unknown; known here: {', '.join(EVENT_QUERY)}")
    kind = query.get("kind")
    if kind is not None and kind not in KIND_WORDS:
        raise UsageError(f"kind: must be one of {', '.join(KIND_WORDS)}")
    if len(query.get("camera", "")) > LONGEST_NAME:
        raise UsageError(f"camera: has at most {LONGEST_NAME} characters")
    limit = _whole(request, "limit", 1, MOST_EVENTS, 100)
    since, until = _whole(request, "since", 0, LATEST_MS, 0), _whole(request, "until", 0, LATEST_MS, LATEST_MS)
    kinds = (kind,) if kind else ()
    rows = site_of(request).reader.latest_events(
        limit, since=since, until=until, kinds=kinds, camera=query.get("camera", "")
    )
    return {"events": [_event(row) for row in rows]}


def reports(request: Request) -> Any:
    known = site_of(request).reader.reports()
    return {"reports": [{"day": r["day"], "revision": r["revision"], "created": iso(r["created"])} for r in known]}


def report(request: Request) -> Any:
    return site_of(request).report_of(asked_day(request))


def period_report(request: Request) -> Any:
    site, period = site_of(request), request.path_params["period"]
    if period not in ("week", "month"):
        raise HTTPException(404, "there are reports of a day, a week and a month")
    requested: Period = "week" if period == "week" else "month"
    return build_period(site.reader, site.config, requested, asked_day(request), site.clock.utc_ms(), site.warn)


def order(verb: str, request: Request) -> Any:
    """Have the daemon carry out `verb` with what the body says."""
    arguments = dict(_body(request, PauseRequest if verb == "pause" else Nothing))
    if verb == "pause":
        if len(arguments) > 1:
            raise UsageError("give minutes or until, and not both")
        arguments = arguments or {"minutes": 10}
    if verb in ("pause", "resume"):
        visitor = visitor_of(request)
        arguments["who"] = f"{visitor.role if visitor else 'nobody'} over the API"
    try:
        return site_of(request).order(verb, **arguments)
    except Failed as error:
        raise HTTPException(409, str(error)) from None


def start_selftest(request: Request) -> Any:
    _body(request, Nothing)
    site_of(request).ask()  # whether there is anybody to ask
    SELF_TEST.start(site_of(request))
    return selftest(request)


def selftest(request: Request) -> Any:
    answer = SELF_TEST.answer or {}
    return {"running": SELF_TEST.running, "error": SELF_TEST.error, "results": answer.get("results", [])}


def document(request: Request) -> Any:
    return openapi()


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document of all operations, with every type that they answer or take."""
    types = {"Problem": Problem} | {
        getattr(kind, "__name__", str(kind)): kind for op in OPERATIONS for kind in (op.response, op.body) if kind
    }
    refs, definitions = TypeAdapter.json_schemas(
        [(name, "serialization", adapter(kind)) for name, kind in types.items()],
        ref_template="#/components/schemas/{model}",
    )
    schemas = {name: refs[name, "serialization"] for name in types}
    paths: dict[str, Any] = {}
    for op in OPERATIONS:
        paths.setdefault(op.path, {})[op.method.lower()] = _described(op, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "edged", "version": __version__, "description": "What the console shows, for programs."},
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(op: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    def content(kind: Any) -> dict[str, Any]:
        return {"application/json": {"schema": schemas[getattr(kind, "__name__", str(kind))]}}

    described: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "responses": {"200": {"description": "Done", "content": content(op.response)}}
        | {code: {"description": why, "content": content(Problem)} for code, why in PROBLEMS.items()},
    }
    places = [("query", False, op.query or {}), ("path", True, op.segments or {})]
    parameters = [
        {"name": name, "in": place, "required": required, "schema": dict(schema)}
        for place, required, schemata in places
        for name, schema in schemata.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if op.body is not None:
        described["requestBody"] = {"required": False, "content": content(op.body)}
    return described


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    lasted = lasted_ms(row)
    instants = {name: iso(row.get(name)) for name in ("began_at", "started_at", "ended_at")}
    return {**row, **instants, "lasted_s": None if lasted is None else lasted / 1000}


def _whole(request: Request, name: str, least: int, most: int, usual: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise UsageError(f"{name}: must be a whole number from {least} to {most}")
    return int(text)


def _body(request: Request, kind: Any) -> Mapping[str, Any]:
    """The body as that type; an empty one is an empty object. Raise UsageError, with what would be right."""
    raw: bytes = request.state.body
    try:
        given = json.loads(raw) if raw else {}
        found: Mapping[str, Any] = adapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise UsageError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
    except (ValueError, RecursionError):
        raise UsageError("the body: is no JSON") from None
    return found


EVENT_QUERY: dict[str, dict[str, Any]] = {
    "since": MILLISECONDS,
    "until": MILLISECONDS,
    "kind": {"type": "string", "enum": list(KIND_WORDS)},
    "camera": {"type": "string", "maxLength": LONGEST_NAME},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_EVENTS, "default": 100},
}
ONE_DAY: dict[str, dict[str, Any]] = {"day": DAY}
ONE_PERIOD: dict[str, dict[str, Any]] = {"period": {"type": "string", "enum": ["week", "month"]}, **ONE_DAY}
OPERATIONS = (
    Operation("GET", "/status", "status", "What the daemon does now", status, DaemonStatus),
    Operation("GET", "/cameras", "cameras", "The cameras as they are now", cameras, Cameras),
    Operation("GET", "/events", "events", "Events, newest first", events, Events, query=EVENT_QUERY),
    Operation("GET", "/reports", "reports", "The days that have a stored report", reports, Reports),
    Operation("GET", "/reports/{day}", "report", "A day's report", report, ReportDocument, segments=ONE_DAY),
    Operation(
        "GET",
        "/reports/{period}/{day}",
        "period",
        "A week's or month's",
        period_report,
        PeriodDocument,
        segments=ONE_PERIOD,
    ),
    *(
        Operation("POST", f"/{verb}", verb, summary, functools.partial(order, verb), CommandResult, "admin", body)
        for verb, summary, body in (
            ("pause", "Watch nobody for a while; the report counts it", PauseRequest),
            ("resume", "Watch again", Nothing),
        )
    ),
    Operation(
        "POST",
        "/selftest",
        "start_selftest",
        "Begin the self-test, which takes minutes",
        start_selftest,
        SelfTestState,
        "admin",
        Nothing,
    ),
    Operation("GET", "/selftest", "selftest", "What came of it", selftest, SelfTestState),
    Operation("GET", "/openapi.json", "openapi", "This document", document, Document),
    Operation(
        "POST",
        "/restart",
        "restart",
        "Restart the daemon",
        functools.partial(order, "restart"),
        CommandResult,
        "admin",
        Nothing,
    ),
)
"""In the order in which tests try them: after a restart nothing answers for some seconds."""


def _route(path: str) -> Route:
    """One for all operations at that path: what a method that is none of theirs is answered names them all."""
    pages: dict[str, Route] = {op.method: _page(op) for op in OPERATIONS if op.path == path}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return cast(Response, await pages[method].endpoint(request))

    return Route(BASE + path, answer, methods=list(pages))


def _page(op: Operation) -> Route:
    def answer(request: Request) -> Response:
        return JSONResponse(op.answer(request))

    return page(BASE + op.path, answer, role=op.role, methods=(op.method,))


ROUTES = [_route(path) for path in dict.fromkeys(op.path for op in OPERATIONS)]
ENTRY = None
