"""A sign for a screen at the door: the state of whoever stands there, without a picture; `?lang=de` chooses the language."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.console.live import ask_live, old_after_ms
from edged.console.render import render
from edged.console.route import page, site_of
from edged.console.signs import ICONS, ORDER, SIGNS, sign_of, unseeing
from edged.console.site import Site
from edged.errors import Unavailable
from edged.live import live_path

RELOAD_S = 2
"""How often a screen without scripts loads the sign again."""


async def kiosk(request: Request) -> Response:
    site, camera = site_of(request), request.path_params["camera"]
    config = site.config
    if camera not in config.camera:
        raise HTTPException(404, "there is no such camera")
    asked = request.query_params.get("lang", "")
    language = asked if asked in SIGNS else "en"
    sign, more = await _said(site, camera, language)
    return render(
        request,
        "kiosk.html",
        title=site.camera_name(camera),
        refresh_s=RELOAD_S,
        camera=camera,
        old_ms=old_after_ms(config.camera[camera]),
        language=language,
        signs=SIGNS,
        icons=ICONS,
        order=ORDER,
        sign=sign,
        more=more,
    )


async def _said(site: Site, camera: str, language: str) -> tuple[str, str]:
    """The sign as it is now, and the line below it."""
    try:
        about = (await ask_live(live_path(site.config.store.path), camera=camera, after=None, picture=False)).about
    except Unavailable:
        return unseeing(language, None)
    state = None if about.get("error") else str(about.get("camera_state"))
    if state == "online" and _is_new(about, old_after_ms(site.config.camera[camera])):
        return sign_of([str(face.get("state")) for face in about.get("faces", [])]), ""
    pause: dict[str, Any] = {}
    if state == "paused":
        status, _ = await run_in_threadpool(site.status_if_any)
        pause = (status or {}).get("paused") or {}
    until = site.wall_clock(site.clock.utc_ms() + 1000 * int(pause["left_s"])) if pause else ""
    return unseeing(language, state, str(pause.get("who", "")), until)


def _is_new(about: Mapping[str, Any], old_ms: int) -> bool:
    """Whether the camera was looked at just now."""
    age_ms = about.get("age_ms")
    return about.get("frame_id") is not None and age_ms is not None and age_ms <= old_ms


ROUTES = [page("/kiosk/{camera}", kiosk)]
ENTRY = None
