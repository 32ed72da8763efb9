"""One camera: what it sees now, whether people can be judged, and the settings that decide it, with what they would change."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.config import CameraConfig
from edged.console.labels import LABELS
from edged.console.labels import change as change_of
from edged.console.live import old_after_ms
from edged.console.pages.live import clear_reason, end_clear
from edged.console.render import Banner, render
from edged.console.route import Entry, form_of, page, see, site_of, visitor_of
from edged.console.settings import RESTART, after, configure, last_change, numbers
from edged.console.site import Site
from edged.console.whatif import Judged, judged_of, what_if
from edged.console.working import camera_words
from edged.errors import StoreError
from edged.host.clock import DAY_MS
from edged.report.tally import STATES
from edged.report.words import LEVEL_WORDS
from edged.store.reader import parsed_row
from edged.types import MASK_WORDS

LAST = 50
LONGEST_REASON = 200
SIDES = {"left": "Left edge", "top": "Top edge", "right": "Right edge", "bottom": "Bottom edge"}
LIMITS = {name: LABELS[f"mask.{name}"] for name in ("enter_score", "leave_score", "smallest_face")}
DONE = {"saved": "Saved, and in force.", "undone": "The last change was taken back.", "restart": RESTART}
WORDS = {
    "states": {**MASK_WORDS, "static": "picture of a face"},
    "why": {
        "small": "too small",
        "not due": "",
        "out of sight": "out of sight at this moment",
        "cut off": "cut off by the picture's edge",
        "weak": "score too low",
        "soon": "in this picture",
        "bowed": "head bowed",
        "unsure": "not sure",
    },
    "attention": {"true": "attentive", "false": "looks away", "null": "not known where it looks"},
    "drowsiness": LEVEL_WORDS,
    "age": "% s old",
    "frozen": "Frozen: this picture is % s old",
    "since": "The last picture came % s ago.",
    "waiting": "Waiting for a picture …",
    "no_console": "The console does not answer; is this computer still in its network?",
    "nobody": "nobody there",
    "verdicts": ["✓ good", "! usable", "✗ poor"],
    "unmeasured": "not measured here",
    "eyes_open": "eyes open",
    "eyes_closed": "eyes closed",
    "mouth_open": "mouth open",
    "mouth_closed": "mouth closed",
}


def cameras(request: Request) -> Response:
    """The only camera, or a choice."""
    site = site_of(request)
    known = list(site.config.camera)
    if len(known) == 1:
        return see(f"/camera/{known[0]}")
    status, _ = site.status_if_any()
    states: Mapping[str, Any] = status["cameras"] if status else {}
    return render(
        request,
        "cameras.html",
        title="Cameras",
        cameras={camera: site.camera_name(camera) for camera in known},
        states={camera: camera_words(states.get(camera)) for camera in known},
        watched=[camera for camera in known if camera in states and states[camera]["status"] == "online"],
    )


def camera(request: Request) -> Response:
    site, camera = site_of(request), _camera(request)
    settings, visitor = site.config.camera[camera], visitor_of(request)
    banners = [Banner("note", text) for key, text in DONE.items() if key in request.query_params]
    admin = visitor is not None and visitor.may("admin")
    undo, problem = last_change(site) if admin else (None, "")
    if problem:
        banners.append(Banner("problem", problem))
    judged: Judged | None = None
    try:
        judged = judged_of(_last_passages(site, camera), settings.mask) if settings.tasks.mask else None
    except StoreError as error:
        banners.append(Banner("problem", str(error)))
    return render(
        request,
        "camera.html",
        title=site.camera_name(camera),
        banners=tuple(banners),
        camera=camera,
        settings=settings,
        old_ms=old_after_ms(settings),
        sides=SIDES,
        region=_percent(settings),
        limits=LIMITS,
        judged=judged,
        undo=undo and {**undo, "changes": [change_of(line) for line in undo["changes"]]},
        read=site.layered.sha256,
        admin=admin,
        clear=clear_reason(request, camera),
        privacy=site.config.privacy,
        longest_reason=LONGEST_REASON,
        masks=settings.tasks.mask,
        script_words=WORDS,
    )


def change(request: Request) -> Response:
    """What the change in the address would do, and a button that makes it."""
    site, camera = site_of(request), _camera(request)
    asked = dict(request.query_params)
    keys = _keys(site.config.camera[camera], camera, asked)
    if not keys:
        return see(f"/camera/{camera}")
    plan = configure(site, set=keys, **{"try": True})
    outlook = None
    if any(".mask." in key for key in keys):
        now = site.clock.utc_ms()
        requested = {key.rpartition(".")[2]: value for key, value in keys.items() if ".mask." in key}
        settings = site.config.camera[camera].mask
        passages = (row for row in site.reader.encounters(now - DAY_MS, now, camera) if row["closed"])
        outlook = what_if(passages, settings, settings.model_copy(update=requested))
    return render(
        request,
        "change.html",
        title="What this changes",
        camera=camera,
        camera_name=site.camera_name(camera),
        changes=[change_of(line) for line in plan["changes"]],
        read=plan["sha256"],
        fields={name: asked[name] for name in (*SIDES, *LIMITS) if name in asked},
        outlook=outlook,
        states=STATES,
    )


def changed(request: Request) -> Response:
    site, camera, form = site_of(request), _camera(request), form_of(request)
    keys = _keys(site.config.camera[camera], camera, form)
    if not keys:
        return see(f"/camera/{camera}")
    answer = configure(site, set=keys, read=form.get("read"), who=_who(request))
    return see(after(answer, f"/camera/{camera}", "saved"))


def undone(request: Request) -> Response:
    site, camera = site_of(request), _camera(request)
    answer = configure(site, undo=True, read=form_of(request).get("read"), who=_who(request))
    return see(
        after(answer, f"/camera/{camera}", "undone") if camera in site.config.camera else after(answer, "/setup")
    )


def unhidden(request: Request) -> Response:
    """Show faces unhidden for a reason, or hide them again where none is given. By a form: no link may ask in an admin's name."""
    camera, visitor = _camera(request), visitor_of(request)
    reason = form_of(request).get("reason", "")[:LONGEST_REASON].strip()
    if not reason:
        end_clear(request, camera)
    elif visitor is not None and visitor.session is not None:
        visitor.session.clear[camera] = reason
    return see(f"/camera/{camera}")


def _camera(request: Request) -> str:
    camera = str(request.path_params["camera"])
    if camera not in site_of(request).config.camera:
        raise HTTPException(404, "there is no such camera")
    return camera


def _who(request: Request) -> str:
    visitor = visitor_of(request)
    return f"the console's {visitor.role}" if visitor else "the console"


def _keys(settings: CameraConfig, camera: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The keys that the form sets to something else than what is in force. Raise UsageError where a field is no number."""
    found = numbers(form, {**SIDES, **LIMITS})
    keys: dict[str, Any] = {
        f"camera.{camera}.mask.{name}": found[name]
        for name in LIMITS
        if name in found and found[name] != getattr(settings.mask, name)
    }
    region = [found.get(side, shown) / 100 for side, shown in _percent(settings).items()]
    if any(side in found for side in SIDES) and [round(100 * share, 1) for share in region] != list(
        _percent(settings).values()
    ):
        keys[f"camera.{camera}.region"] = [round(share, 4) for share in region]
    return keys


def _percent(settings: CameraConfig) -> dict[str, float]:
    """The region's sides, as a form shows them."""
    return {side: round(100 * share, 1) for side, share in zip(SIDES, settings.region, strict=True)}


def _last_passages(site: Site, camera: str) -> list[dict[str, Any]]:
    sql = "SELECT state, score, largest_face, votes FROM encounters WHERE camera = ? AND closed ORDER BY first_seen DESC LIMIT ?"
    with site.reader.snapshot() as ask:
        return [parsed_row(row) for row in ask(sql, camera, LAST)]


ROUTES = [
    page("/camera", cameras),
    page("/camera/{camera}", camera),
    page("/camera/{camera}/change", change, role="admin"),
    page("/camera/{camera}/change", changed, role="admin", methods=("POST",)),
    page("/camera/{camera}/clear", unhidden, role="admin", methods=("POST",)),
    page("/camera/{camera}/undo", undone, role="admin", methods=("POST",)),
]
ENTRY = Entry("Cameras", "/camera")
