"""Claiming a new device, logging in and out."""

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.console.access.gate import LinkRefused
from edged.console.access.passwords import LEAST_CHARACTERS, MOST_CHARACTERS, checked
from edged.console.access.state import CODE_LENGTH, Role
from edged.console.render import render
from edged.console.route import CLAIM, LOGIN, access_of, form_of, local_path, page, see, site_of
from edged.errors import UsageError

WRONG_CODE = f"This is not the code. `edged claim` on the device prints it; it has {CODE_LENGTH} letters and digits."
NO_LINK = (
    "this token may change settings, and an address stays in the browser's history and in logs, so that no such token opens"
    " the console from there: log in with the password, or make a viewer's token for a screen; and delete this one, since it"
    " has stood in an address"
)
WRONG_LOGIN = "This is not the password. `edged passwd` on the device sets a new one."


async def claim(request: Request) -> Response:
    """Show the form; a device that has been claimed has none."""
    if access_of(request).state.claimed:
        return see(LOGIN)
    return _claim_form(request)


async def claimed(request: Request) -> Response:
    """With the right code, keep the password and log in."""
    access, form = access_of(request), form_of(request)
    if access.state.claimed:
        return see(LOGIN)
    try:
        password = checked(form.get("password", ""), form.get("again", ""))
    except UsageError as error:
        return _claim_form(request, str(error), form.get("code", ""))
    if not access.code_is(request, form.get("code", "")):
        return _claim_form(request, WRONG_CODE)
    await run_in_threadpool(partial(access.set_password, "admin", password, first=True))
    response = see("/" if site_of(request).config.camera else "/setup")
    access.begin(request, response, "admin")
    return response


async def login(request: Request) -> Response:
    access = access_of(request)
    if not access.state.claimed:
        return see(CLAIM)
    return _login_form(request, local_path(request.query_params.get("next", "/")))


async def logged_in(request: Request) -> Response:
    access, form = access_of(request), form_of(request)
    role: Role = "viewer" if form.get("name") == "viewer" else "admin"
    following = local_path(form.get("next", "/"))
    if not access.state.claimed:
        return see(CLAIM)
    if not await access.log_in(request, role, form.get("password", "")):
        return _login_form(request, following, WRONG_LOGIN, role)
    response = see(following)
    access.begin(request, response, role)
    return response


async def logout(request: Request) -> Response:
    response = see(LOGIN)
    access_of(request).end(request, response)
    return response


async def enter(request: Request) -> Response:
    """Let in whoever has a token in the address: once after a start with one, always with a viewer's, for a screen."""
    _require_visit(request)
    response = see(local_path(request.query_params.get("to", "/")))
    try:
        known = access_of(request).enter(request, response, request.query_params.get("token", ""))
    except LinkRefused:
        raise HTTPException(403, NO_LINK) from None
    return response if known else see(LOGIN)


def _require_visit(request: Request) -> None:
    """Raise 403 where a page of another site has this loaded as its picture, frame or the like, and nobody opens it.

    Each wrong token counts as a try of the browser's address: any page could shut its readers' addresses out.
    """
    fetched_by, use = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-dest")
    if fetched_by in ("cross-site", "same-site") and use != "document":
        raise HTTPException(403, "a page of another site has asked for this, which is refused; open the address itself")


def _claim_form(request: Request, problem: str = "", code: str = "") -> Response:
    status = 400 if problem else 200
    return render(
        request,
        "claim.html",
        status=status,
        title="Claim this device",
        problem=problem,
        code=code,
        least=LEAST_CHARACTERS,
        most=MOST_CHARACTERS,
        code_length=CODE_LENGTH,
    )


def _login_form(request: Request, following: str, problem: str = "", role: Role = "admin") -> Response:
    has_viewer = "viewer" in access_of(request).state.passwords
    return render(
        request,
        "login.html",
        status=403 if problem else 200,
        title="Log in",
        problem=problem,
        following=following,
        role=role,
        has_viewer=has_viewer,
        most=MOST_CHARACTERS,
    )


ROUTES = [
    page(CLAIM, claim, role=None),
    page(CLAIM, claimed, role=None, methods=("POST",)),
    page(LOGIN, login, role=None),
    page(LOGIN, logged_in, role=None, methods=("POST",)),
    page("/logout", logout, role=None, methods=("POST",)),
    page("/enter", enter, role=None),
]
ENTRY = None
