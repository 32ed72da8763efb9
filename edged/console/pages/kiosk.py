"""A sign for a screen at the door: the state of whoever stands there, without a picture; `?lang=de` chooses the language."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.console.live import ask_live
from edged.console.render import render
from edged.console.route import page, site_of
from edged.console.signs import ICONS, ORDER, SIGNS, sign_of
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
    try:
        about = (await ask_live(live_path(config.store.path), camera=camera, after=None, picture=False)).about
        seen = about.get("camera_state") == "online" and not about.get("error")
        sign = sign_of([str(face.get("state")) for face in about.get("faces", [])]) if seen else "blind"
    except Unavailable:
        sign = "blind"
    return render(
        request,
        "kiosk.html",
        title=site.camera_name(camera),
        refresh_s=RELOAD_S,
        camera=camera,
        language=language,
        signs=SIGNS,
        icons=ICONS,
        order=ORDER,
        sign=sign,
        stall_ms=round(config.camera[camera].stall_seconds * 1000),
    )


ROUTES = [page("/kiosk/{camera}", kiosk)]
ENTRY = None
