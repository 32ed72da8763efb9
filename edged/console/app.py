"""Puts the console together: routes of all pages, the guard around them, and what is answered when something is wrong."""

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from edged.console.access import Access
from edged.console.access.gate import TooSoon
from edged.console.access.passwords import Busy
from edged.console.guard import Guard
from edged.console.pages import MODULES
from edged.console.render import STATIC, render
from edged.console.route import CLAIM, LOGIN, access_of, is_here, is_program, local_path, visitor_of
from edged.console.site import Site
from edged.console.working import sentence
from edged.errors import EdgedError, Failed, Unavailable, UsageError

A_YEAR = "public, max-age=31536000, immutable"


class Static(StaticFiles):
    """Files whose address changes with their contents."""

    def file_response(self, *args: object, **more: object) -> Response:
        response = super().file_response(*args, **more)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = A_YEAR
        return response


def build_app(site: Site, access: Access) -> ASGIApp:
    """The whole console as one application."""
    routes: list[Route | Mount] = [Mount("/static", Static(directory=STATIC))]
    routes += [route for module in MODULES for route in module.ROUTES]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _refused,
            EdgedError: _refused,
            TooSoon: _too_soon,
            Busy: _busy,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    app.state.site, app.state.access = site, access
    app.state.menu = tuple(module.ENTRY for module in MODULES if module.ENTRY is not None)
    return Guard(app, site.config.console.hosts)


def _answer(request: Request, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    """One line for a person: on a page, or for a program as JSON."""
    if is_program(request):
        return JSONResponse({"ok": False, "error": text}, status, headers)
    way_in = _way_in(request)
    kept = _kept(request) if status == 503 else {}
    return render(
        request,
        "error.html",
        status=status,
        headers=headers,
        title=NOT_DONE if kept else TITLES.get(status, "The console made a mistake"),
        kept=kept,
        text=sentence(text),
        code=status,
        back=_page_before(request),
        login=way_in,
    )


def _page_before(request: Request) -> str | None:
    """Where one came from on this site; None from elsewhere, and from the very same page."""
    referer = request.headers.get("referer", "")
    if not is_here(request, referer):
        return None
    back = urlsplit(referer)
    return local_path(back.path + (f"?{back.query}" if back.query else "")) if back.path != request.url.path else None


def _way_in(request: Request) -> str | None:
    """Where one logs in; None where that is the trouble itself. Also finds out who asks, as a page that is none has not done."""
    try:
        if visitor_of(request) is None:
            request.state.visitor = access_of(request).visitor(request)
        return LOGIN if access_of(request).state.claimed else CLAIM
    except (EdgedError, TooSoon):
        return None


def _kept(request: Request) -> dict[str, str]:
    """What was typed into the form that could not be carried out: it can be sent once more as it is.

    Nothing where it held a secret, which is not kept: sent without, it would be another form, and a wrong try at a login.
    """
    form: dict[str, str] = getattr(request.state, "form", {})
    if any(form.get(name) for name in SECRETS):
        return {}
    return {name: value for name, value in form.items() if name not in SECRETS and name != "csrf"}


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        text = (
            error.detail
            if error.detail != HTTPStatus(error.status_code).phrase
            else PLAIN.get(error.status_code, error.detail)
        )
        return _answer(request, error.status_code, text, dict(error.headers or {}))
    kinds = {Unavailable: 503, UsageError: 400, Failed: 409}
    return _answer(request, next((kinds[kind] for kind in kinds if isinstance(error, kind)), 500), str(error))


async def _too_soon(request: Request, error: Exception) -> Response:
    seconds = error.seconds if isinstance(error, TooSoon) else 1
    text = f"too many wrong passwords, codes or tokens; wait {seconds} s, and try again"
    return _answer(request, 429, text, {"Retry-After": str(seconds)})


async def _busy(request: Request, error: Exception) -> Response:
    return _answer(request, 503, "too many log in at this moment; try again in some seconds", {"Retry-After": "5"})


async def _failed(request: Request, error: Exception) -> Response:
    return _answer(request, 500, "the console made a mistake, which is in its log: `journalctl -u edged-console`")


NOT_DONE = "This was not done yet"
SECRETS = {"password", "again", "code"}
TITLES = {
    400: "This cannot be done as it was asked",
    401: "You are not logged in",
    403: "This is not allowed",
    404: "There is no such page",
    405: "This page cannot be used in that way",
    408: "That took too long",
    409: "This was refused",
    413: "That was too much at once",
    429: "Too many wrong tries",
    503: "This cannot be shown now",
}
"""What a page says is the matter, before the sentence that says why."""
PLAIN = {
    404: "nothing lies at this address; the menu leads to all pages",
    405: "this address takes only what the console's own pages send to it",
}
"""Instead of the phrases that Starlette has by itself."""
