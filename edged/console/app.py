"""Puts the console together: routes of all pages, the guard around them, and what is answered when something is wrong."""

from http import HTTPStatus

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
from edged.console.route import is_program
from edged.console.site import Site
from edged.errors import EdgedError, Unavailable, UsageError

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
    title = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
    return render(request, "error.html", status=status, headers=headers, title=title, text=text)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        text = (
            error.detail
            if error.detail != HTTPStatus(error.status_code).phrase
            else PLAIN.get(error.status_code, error.detail)
        )
        return _answer(request, error.status_code, text, dict(error.headers or {}))
    status = 503 if isinstance(error, Unavailable) else 400 if isinstance(error, UsageError) else 500
    return _answer(request, status, str(error))


async def _too_soon(request: Request, error: Exception) -> Response:
    seconds = error.seconds if isinstance(error, TooSoon) else 1
    text = f"too many wrong passwords, codes or tokens; wait {seconds} s, and try again"
    return _answer(request, 429, text, {"Retry-After": str(seconds)})


async def _busy(request: Request, error: Exception) -> Response:
    return _answer(request, 503, "too many log in at this moment; try again in some seconds", {"Retry-After": "5"})


async def _failed(request: Request, error: Exception) -> Response:
    return _answer(request, 500, "the console made a mistake, which is in its log: `journalctl -u edged-console`")


PLAIN = {
    404: "there is no such page here",
    405: "this page cannot be used in that way",
}
"""Instead of the phrases that Starlette has by itself."""
