"""Live pictures and live faces for the console's own scripts: a proxy of the daemon's socket of live pictures.

`GET /live/<camera>/frame.jpg?after=<id>` is the picture with what the model saw in it; `GET /live/<camera>/people?after=<id>`
the states of the people in it alone. Both answer when there is something newer than `after`, or after two seconds; 204 says
that there is no newer picture, and `X-Camera` why. With `clear=<reason>` the admin gets faces that are not hidden, until
410 says that the view has ended. `viewer` tells one who looks from another: a camera has two at most.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edged.console.live import Live, ask_live
from edged.console.route import page, require_own_site, site_of, visitor_of
from edged.errors import Unavailable
from edged.live import live_path

MOST_FACES = 64
MOST_POINTED = 6
LONGEST = 20


async def frame(request: Request) -> Response:
    reason = request.query_params.get("clear", "")
    live = await _ask(request, **(_clear(request, reason) if reason else {}))
    about = live.about
    headers = {"X-Camera": json.dumps({"state": about.get("camera_state"), "reason": about.get("reason")})}
    if about.get("frame_id") is not None:
        headers["X-Frame-Id"] = str(about["frame_id"])
    if not live.picture:
        return Response(status_code=204, headers=headers)
    headers |= {
        "X-Frame-Age-Ms": str(about.get("age_ms")),
        "X-Sight": json.dumps({key: about.get(key) for key in ("sharpness", "brightness")}),
        "X-Dets": json.dumps(_faces(about), separators=(",", ":")),
    }
    return Response(live.picture, media_type="image/jpeg", headers=headers)


async def people(request: Request) -> Response:
    live = await _ask(request, picture=False)
    keys = ("frame_id", "age_ms", "camera_state", "reason")
    about: dict[str, Any] = {key: live.about.get(key) for key in keys}
    return JSONResponse({**about, "faces": [{"state": face.get("state")} for face in _faces(live.about)]})


def _faces(about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The widest faces first; only some with their points, since all of it travels in a header."""
    faces = sorted(about.get("faces", []), key=lambda face: -float(face.get("width_px") or 0))[:MOST_FACES]
    return [
        {**face, "points": face.get("points") if number < MOST_POINTED else None} for number, face in enumerate(faces)
    ]


async def _ask(request: Request, **more: Any) -> Live:
    camera, after = request.path_params["camera"], request.query_params.get("after", "")
    config = site_of(request).config
    if camera not in config.camera:
        raise HTTPException(404, "there is no such camera")
    if len(after) > LONGEST or not (after == "" or (after.isascii() and after.isdecimal())):
        raise HTTPException(400, "after: is the X-Frame-Id of the picture before")
    viewer = request.query_params.get("viewer", "")[:LONGEST]
    asked = {"camera": camera, "after": int(after) if after else None, "viewer": viewer, **more}
    live = await ask_live(live_path(config.store.path), **asked)
    if error := live.about.get("error"):
        if more.get("clear"):
            raise HTTPException(410, str(error))
        raise Unavailable(str(error))
    return live


def _clear(request: Request, reason: str) -> dict[str, Any]:
    """What asks for faces that are not hidden, with a reason that is recorded: for the admin, on this site's own page."""
    require_own_site(request)
    visitor = visitor_of(request)
    if visitor is None or not visitor.may("admin"):
        raise HTTPException(403, "the clear picture needs the admin's login")
    return {"clear": True, "who": f"the console's {visitor.role}", "reason": reason}


ROUTES = [page("/live/{camera}/frame.jpg", frame), page("/live/{camera}/people", people)]
ENTRY = None
