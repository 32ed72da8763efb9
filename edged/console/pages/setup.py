"""Setting up a device step by step: place and hours, camera, aim, walk test, broker; each can be done again."""

import base64
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from zoneinfo import available_timezones

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.config import Config, MqttConfig
from edged.config.change import KEPT_IN, is_elsewhere
from edged.config.load import parse_config
from edged.config.section import LONGEST_PASSWORD
from edged.console.labels import LABELS, mistake
from edged.console.render import Banner, render
from edged.console.route import Entry, form_of, page, see, site_of
from edged.console.settings import RESTART, after, configure
from edged.console.site import Site
from edged.console.working import camera_words, sentence
from edged.errors import EdgedError, Unavailable, UsageError
from edged.host.device import device_id
from edged.report.walk import PASSAGES, WITH, Step, walk_steps, walk_test

PLACE = {name: LABELS[f"report.{name}"] for name in ("site", "timezone", "open_from", "open_until")}
PROFILES = {
    "entrance": "An entrance: how masks are worn",
    "classroom": "A room: masks, and whether people attend",
    "driver": "A cab: attention and drowsiness of the driver",
}
EMPTY = {"name": "", "source": "", "address": "", "profile": "entrance"}
MOST_SKIPPED = 50
STORED_EVERY_S, STORED_TRIES = 0.1, 30


def overview(request: Request) -> Response:
    site = site_of(request)
    config, origins = site.config, site.layered.origins()
    status, why_dead = site.status_if_any()
    tests = {}
    with suppress(EdgedError):
        tests = {camera: walk_test(site.reader, config, camera) for camera in config.camera}
    connected = bool(status and status["broker"]["connected"])
    states: Mapping[str, Any] = (status or {}).get("cameras", {})
    banners = [Banner("problem", why_dead)] if why_dead else []
    if "restart" in request.query_params:
        banners.append(Banner("note", RESTART))
    return render(
        request,
        "setup.html",
        title="Setup",
        banners=tuple(banners),
        config=config,
        has_place="report.timezone" in origins,
        cameras={camera: site.camera_name(camera) for camera in config.camera},
        states={camera: camera_words(states.get(camera)) for camera in config.camera},
        watched=[camera for camera, state in states.items() if state["status"] == "online"],
        tests=tests,
        connected=connected,
        ready="report.timezone" in origins
        and bool(config.camera)
        and all(tests.get(camera) for camera in config.camera),
    )


def place(request: Request, values: Mapping[str, str] | None = None, problem: EdgedError | None = None) -> Response:
    report = site_of(request).config.report
    return _form(
        request,
        "setup_place.html",
        problem,
        title="Place and hours",
        labels=PLACE,
        values=values or {name: str(getattr(report, name)) for name in PLACE},
        zones=sorted(available_timezones()),
    )


def placed(request: Request) -> Response:
    form = form_of(request)
    keys = {f"report.{name}": form.get(name, "").strip() for name in PLACE}
    try:
        answer = configure(site_of(request), set=keys, who="setup")
    except EdgedError as error:
        return place(request, form, error)
    return see(after(answer, "/setup"))


def camera_form(
    request: Request, values: Mapping[str, str] | None = None, problem: EdgedError | None = None
) -> Response:
    site = site_of(request)
    attached, why_none = list[Mapping[str, Any]](), None
    try:
        attached = site.question("cameras")["cameras"]
    except EdgedError as error:
        why_none = error
    return _form(
        request,
        "setup_camera.html",
        problem or why_none,
        title="Add a camera",
        labels=LABELS,
        attached=attached,
        profiles=PROFILES,
        values=values or EMPTY,
    )


def glimpse(request: Request) -> Response:
    """What an attached camera sees that is not in use yet, faces hidden; for a page that somebody looks at."""
    site, uri = site_of(request), request.query_params.get("source", "")
    for camera, settings in site.config.camera.items():
        if settings.source == uri:
            return see(f"/live/{camera}/frame.jpg")
    found = site.glimpses.get().get(uri, {})
    if not found.get("picture"):
        raise HTTPException(404, str(found.get("problem") or "there is no picture of this camera"))
    return Response(base64.b64decode(found["picture"]), media_type="image/jpeg")


def camera_added(request: Request) -> Response:
    site, form = site_of(request), form_of(request)
    name = form.get("name", "").strip()
    source = form.get("address", "").strip() or form.get("source", "")
    try:
        camera = _new_id(name, site.config)
        if not source:
            raise UsageError("choose a camera, or write the address of one in the network")
        table = {"source": source, "name": name, "profile": form.get("profile", "entrance")}
        answer = configure(site, set={f"camera.{camera}.{key}": value for key, value in table.items()}, who="setup")
    except EdgedError as error:
        return camera_form(request, {key: form.get(key, "") for key in EMPTY}, error)
    return see(after(answer, f"/camera/{camera}", "saved"))


def walk(request: Request) -> Response:
    """Before it has begun, what to do; then each passage as it comes."""
    site, camera = site_of(request), request.path_params["camera"]
    if camera not in site.config.camera:
        return see("/setup")
    since, skip = _begun(request.query_params)
    steps = _steps(site, camera, since, skip) if since else []
    return render(
        request,
        "setup_walk.html",
        title="Walk test",
        refresh_s=3 if since and len(steps) < PASSAGES else None,
        camera=camera,
        camera_name=site.camera_name(camera),
        since=since,
        now=site.clock.utc_ms(),
        skip=skip,
        steps=steps,
        passages=PASSAGES,
        with_mask=WITH,
    )


def walked(request: Request) -> Response:
    site, form = site_of(request), form_of(request)
    since, skip = _begun(form)
    camera = str(request.path_params["camera"])
    answer = site.ask("walktest", camera=camera, since=since, skip=skip)
    if not answer.get("ok"):
        raise UsageError(str(answer.get("error")))
    for _ in range(STORED_TRIES):  # the record is written by a thread of its own; the next page is to show it
        if (kept := walk_test(site.reader, site.config, camera)) is not None and kept["at"] == answer["at"]:
            break
        time.sleep(STORED_EVERY_S)
    return see("/setup")


def broker(
    request: Request,
    values: Mapping[str, str] | None = None,
    problem: EdgedError | None = None,
    answered: str = "",
) -> Response:
    mqtt = site_of(request).config.mqtt
    now = {
        "host": mqtt.host or "",
        "port": str(mqtt.port or ""),
        "username": mqtt.username or "",
        "tls": "1" if mqtt.tls else "",
    }
    return _form(
        request,
        "setup_broker.html",
        problem,
        title="Broker",
        labels=LABELS,
        values={**dict.fromkeys(now, ""), **(values if values is not None else now)},
        answered=answered,
        has_password=mqtt.password_file is not None,
        longest_password=LONGEST_PASSWORD,
    )


def broker_set(request: Request) -> Response:
    """Try the broker for real; keep it where that is what was pressed."""
    from edged.publish import probe_broker  # only now: who sets no broker pays nothing for it

    site, form = site_of(request), form_of(request)
    password = form.get("password") or None
    try:
        keys = _mqtt_keys(form)
        if keys["mqtt.host"] is not None:
            requested, testing = _mqtt_of(site, keys), form.get("action") == "test"
            if password is None and requested.password_file is not None and is_elsewhere(site.config.mqtt, requested):
                raise UsageError("the password that is kept is not sent to another broker: type it again")
            kept = (
                password is None
                and requested.password_file is not None
                and not os.access(requested.password_file, os.R_OK)
            )
            if kept and testing:
                raise UsageError("only the daemon can read the password that is kept: type it again to test it")
            if not kept and (refused := probe_broker(requested, device_id(site.config.device.id), password)):
                raise UsageError(refused)
        if form.get("action") == "test":
            return broker(request, form, answered=f"{form.get('host')} accepts the connection. Nothing was saved yet.")
        answer = configure(site, set=keys, who="setup", mqtt_password=password)
    except EdgedError as error:
        return broker(request, form, error)
    return see(after(answer, "/setup"))


def _form(request: Request, template: str, problem: EdgedError | None, **values: Any) -> Response:
    """The form with `values` in its fields; after one that was sent, and came to nothing, they are those that were typed."""
    banners = (Banner("problem", sentence(mistake(str(problem)))),) if problem else ()
    refused = 503 if isinstance(problem, Unavailable) else 400
    status = refused if problem and request.method == "POST" else 200
    return render(request, template, status=status, banners=banners, **values)


def _new_id(name: str, config: Config) -> str:
    """An identity for topics and tables that a person's name for a camera gives."""
    if not name:
        raise UsageError("give the camera a name, such as Main door")
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "camera"
    return next(
        one for number in range(1, 100) if (one := made if number == 1 else f"{made}-{number}") not in config.camera
    )


def _begun(fields: Mapping[str, str]) -> tuple[int, list[str]]:
    """When a walk test began, 0 for one that has not; and the passages of others."""
    since = fields.get("since", "")
    skip = [part for part in fields.get("skip", "").split(",") if part][:MOST_SKIPPED]
    return (int(since) if since.isascii() and since.isdecimal() and len(since) < 16 else 0), skip


def _steps(site: Site, camera: str, since: int, skip: list[str]) -> list[Step]:
    rows = site.reader.encounters(since, site.clock.utc_ms(), camera)
    return walk_steps(rows, site.config.camera[camera].mask, skip)


def _mqtt_keys(form: Mapping[str, str]) -> dict[str, Any]:
    port = form.get("port", "").strip()
    if port and not (port.isascii() and port.isdecimal()):
        raise UsageError(f"{LABELS['mqtt.port']}: {port[:10]} is not a number")
    user = form.get("username", "").strip() or None
    return {
        **({} if user else {KEPT_IN: None}),
        "mqtt.host": form.get("host", "").strip() or None,
        "mqtt.port": int(port[:6]) if port else None,
        "mqtt.username": user,
        "mqtt.tls": bool(form.get("tls")),
    }


def _mqtt_of(site: Site, keys: Mapping[str, Any]) -> MqttConfig:
    """What `[mqtt]` would be. Raise ConfigError, with one line, where that cannot be."""
    table = dict(site.layered.tables.get("mqtt", {}))
    table.update({key.removeprefix("mqtt."): value for key, value in keys.items()})
    return parse_config({"mqtt": {key: value for key, value in table.items() if value is not None}}, site.path).mqtt


ROUTES = [
    page("/setup", overview, role="admin"),
    page("/setup/place", place, role="admin"),
    page("/setup/place", placed, role="admin", methods=("POST",)),
    page("/setup/camera", camera_form, role="admin"),
    page("/setup/camera/picture", glimpse, role="admin"),
    page("/setup/camera", camera_added, role="admin", methods=("POST",)),
    page("/setup/walk/{camera}", walk, role="admin"),
    page("/setup/walk/{camera}", walked, role="admin", methods=("POST",)),
    page("/setup/broker", broker, role="admin"),
    page("/setup/broker", broker_set, role="admin", methods=("POST",)),
]
ENTRY = Entry("Setup", "/setup", "admin")
