"""Who may see and change what: passwords of admin and viewer, and tokens for programs."""

import re

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from edged.console.access.passwords import LEAST_CHARACTERS, MOST_CHARACTERS, checked
from edged.console.access.state import Role
from edged.console.render import render
from edged.console.route import Entry, access_of, form_of, page, see
from edged.errors import UsageError

NAME = re.compile(r"[^\x00-\x1f\x7f]{1,40}")


def access(request: Request) -> Response:
    return _shown(request)


async def password(request: Request) -> Response:
    """Set the admin's or the viewer's; one's own sessions go on, all others of that role end."""
    gate, form = access_of(request), form_of(request)
    role: Role = "viewer" if form.get("role") == "viewer" else "admin"
    if role == "viewer" and "remove" in form:
        await run_in_threadpool(gate.set_password, "viewer", None)
        return see("/access")
    await run_in_threadpool(gate.set_password, role, checked(form.get("password", ""), form.get("again", "")))
    response = see("/access?saved=1")
    if role == "admin":
        gate.begin(request, response, "admin")
    return response


def token(request: Request) -> Response:
    """Make one, and show it this once; or delete one."""
    gate, form = access_of(request), form_of(request)
    if "delete" in form:
        gate.delete_token(form["delete"])
        return see("/access")
    name = form.get("name", "").strip()
    if not NAME.fullmatch(name):
        raise UsageError("give the token a name of 1 to 40 characters: for what program it is")
    role: Role = "admin" if form.get("role") == "admin" else "viewer"
    return _shown(request, gate.add_token(name, role))


def _shown(request: Request, new: str = "") -> Response:
    state = access_of(request).state
    return render(
        request,
        "access.html",
        title="Access",
        has_viewer="viewer" in state.passwords,
        tokens=state.tokens,
        new=new,
        saved="saved" in request.query_params,
        least=LEAST_CHARACTERS,
        most=MOST_CHARACTERS,
    )


ROUTES = [
    page("/access", access, role="admin"),
    page("/access/password", password, role="admin", methods=("POST",)),
    page("/access/token", token, role="admin", methods=("POST",)),
]
ENTRY = Entry("Access", "/access", "admin")
