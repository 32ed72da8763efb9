"""Live pictures and live faces for the console's own scripts: a proxy of the daemon's socket of live pictures.

`GET /live/<camera>/frame.jpg?after=<id>` is the picture with what the model saw in it; `GET /live/<camera>/people?after=<id>`
the states of the people in it alone. Both answer when there is something newer than `after`, or after two seconds; 204 says
that there is no newer picture, and `X-Camera` why. With `clear=1` an admin who has asked on the camera's page gets faces that
are not hidden, until 410 says that the view has ended. `viewer` identifies a viewer among others: a camera has two at most.
`Server-Timing` says what the picture's age is made of.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edged.console.live import Live, ask_live
from edged.console.render import unhidden
from edged.console.route import page, require_own_site, site_of, visitor_of
from edged.errors import Unavailable
from edged.live import live_path

MOST_FACES = 64
MOST_POINTED = 6
LONGEST = 20


async def frame(request: Request) -> Response:
    live = await _ask(request, **(_clear(request) if request.query_params.get("clear") else {}))
    about = live.about
    headers = {"X-Camera": json.dumps({"state": about.get("camera_state"), "reason": about.get("reason")})}
    if about.get("frame_id") is not None:
        headers["X-Frame-Id"] = str(about["frame_id"])
    if not live.picture:
        return Response(status_code=204, headers=headers)
    headers |= {
        "X-Frame-Age-Ms": str(about.get("age_ms")),
        "Server-Timing": ", ".join(f"{stage};dur={ms}" for stage, ms in about.get("spent_ms", {}).items()),
        "X-Sight": json.dumps({key: about.get(key) for key in ("sharpness", "brightness", "backlight")}),
        "X-Dets": json.dumps(_faces(about), separators=(",", ":")),
    }
    return Response(live.picture, media_type="image/jpeg", headers=headers)


async def people(request: Request) -> Response:
    live = await _ask(request, picture=False)
    keys = ("frame_id", "age_ms", "camera_state", "reason")
    about: dict[str, Any] = {key: live.about.get(key) for key in keys}
    return JSONResponse({**about, "faces": [{"state": face.get("state")} for face in _faces(live.about)]})


def shown_unhidden(request: Request) -> Response:
    """What open pages are to say of faces that are shown unhidden, for `unhidden.js`."""
    return JSONResponse(unhidden(request))


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
        if more.get("clear") and "camera_state" in live.about:  # the view itself is refused; "busy" passes
            end_clear(request, camera)
            raise HTTPException(410, str(error))
        raise Unavailable(str(error))
    return live


def clear_reason(request: Request, camera: str) -> str:
    """Why this admin sees unhidden faces of that camera; "" where they have not asked to."""
    visitor = visitor_of(request)
    session = visitor.session if visitor is not None and visitor.may("admin") else None
    return session.clear.get(camera, "") if session is not None else ""


def end_clear(request: Request, camera: str) -> None:
    """Hide faces again."""
    visitor = visitor_of(request)
    if visitor is not None and visitor.session is not None:
        visitor.session.clear.pop(camera, None)


def _clear(request: Request) -> dict[str, Any]:
    """What asks for faces that are not hidden, with a reason that is recorded: for the admin, on this site's own page."""
    require_own_site(request)
    reason = clear_reason(request, str(request.path_params["camera"]))
    if not reason:
        raise HTTPException(403, "the clear picture needs the admin, and a reason on the camera's page")
    return {"clear": True, "who": "the console's admin", "reason": reason}


ROUTES = [
    page("/live/{camera}/frame.jpg", frame),
    page("/live/{camera}/people", people),
    page("/unhidden", shown_unhidden),
]
ENTRY = None
