"""How a page is declared: its path, what makes it, and who may ask for it; and what is checked before it is made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from hmac import compare_digest
from inspect import iscoroutinefunction
from typing import cast
from urllib.parse import parse_qsl, quote, urlsplit

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edged.console.access import Access, Role, Visitor
from edged.console.guard import BODY_S, MOST_BODY_BYTES
from edged.console.site import Site
from edged.errors import UsageError
from edged.report import parse_day

Maker = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]
CLAIM, LOGIN = "/claim", "/login"
HTML_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page's place in the menu."""

    label: str
    path: str
    role: Role = "viewer"


def page(path: str, make: Maker, *, role: Role | None = "viewer", methods: tuple[str, ...] = ("GET",)) -> Route:
    """Answer `path` by `make`; a plain function runs in a thread, an async one must not wait for disks or sockets.

    `role`: who may ask; None: everybody, also before the device is claimed. What is not read only (POST) has been checked
    against other sites' forms, and its fields are in `form_of(request)`.
    """

    def in_thread(request: Request) -> Response:
        request.state.clear_views = site_of(request).clear_views.get() if role is not None else []
        return cast(Response, make(request))

    async def guarded(request: Request) -> Response:
        visitor = access_of(request).visitor(request)
        request.state.visitor = visitor
        if role is not None:
            refusal = _refusal(request, visitor, role)
            if refusal is not None:
                return refusal
        if request.method not in ("GET", "HEAD"):
            require_own_site(request)
            await _read_form(request)
            _require_token(request, visitor)
        made = make(request) if iscoroutinefunction(make) else run_in_threadpool(in_thread, request)
        response = await cast(Awaitable[Response], made)
        if role is not None and visitor is not None and visitor.session is not None and not is_program(request):
            access_of(request).keep(request, response, visitor.session)
        return response

    return Route(path, guarded, methods=list(methods))


def asked_day(request: Request) -> date:
    """The local day that the path names. Raise HTTPException when it is none."""
    site = site_of(request)
    try:
        return parse_day(request.path_params["day"], site.zone, site.clock.utc_ms())
    except UsageError as error:
        raise HTTPException(404, str(error)) from None


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def access_of(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


def visitor_of(request: Request) -> Visitor | None:
    """Who asks; None on pages that everybody may see."""
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    return visitor


def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; of those that come twice the last."""
    form: dict[str, str] = request.state.form
    return form


def see(path: str) -> RedirectResponse:
    """Have the browser get that page: the answer to every form, so that loading it again sends nothing twice."""
    return RedirectResponse(path, 303)


def local_path(text: str) -> str:
    """A path on this site that somebody may be sent to; the first page where `text` leads elsewhere."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if ours and "\\" not in text and not urlsplit(text).netloc else "/"


def _refusal(request: Request, visitor: Visitor | None, role: Role) -> Response | None:
    """What is answered instead of the page; None when the visitor may see it."""
    if visitor is None:
        if is_program(request):
            raise HTTPException(
                401, "log in, or show a token: `Authorization: Bearer …`", {"WWW-Authenticate": "Bearer"}
            )
        if not access_of(request).state.claimed:
            return see(CLAIM)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(
                401, "you are not logged in any more: go back, log in in another window, and send it again"
            )
        asked = quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="/")
        return see(LOGIN if asked == "/" else f"{LOGIN}?next={asked}")
    if not visitor.may(role):
        raise HTTPException(403, "this needs the admin's login; you are here as viewer")
    return None


def is_program(request: Request) -> bool:
    """Whether a program asks, which needs a status code where a person needs a page."""
    return "authorization" in request.headers or request.url.path.startswith(("/api/", "/live/"))


def is_here(request: Request, address: str) -> bool:
    """Whether `address` leads to the host that is asked."""
    try:
        return urlsplit(address).netloc == request.headers.get("host")
    except ValueError:  # no address at all
        return False


def require_own_site(request: Request) -> None:
    """Raise 403 when a page of another site sends this: browsers say so themselves."""
    fetched_by, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    ours = fetched_by == "same-origin" if fetched_by is not None else origin is None or is_here(request, origin)
    if not ours:
        raise HTTPException(403, "a page of another site has sent this, which is refused; open the console itself")


async def _read_form(request: Request) -> None:
    """Have the fields in `request.state.form`, or the text of JSON in `request.state.body`; bounded in size and time."""
    body = bytearray()
    try:
        with anyio.fail_after(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise HTTPException(413, f"more than {MOST_BODY_BYTES} bytes were sent")
    except TimeoutError:
        raise HTTPException(408, f"the form did not come within {BODY_S:g} s; send it again") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection ended") from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    request.state.body, request.state.form = bytes(body), {}
    if kind == HTML_FORM:
        request.state.form = _fields(bytes(body))


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise HTTPException(400, "the form cannot be read") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def _require_token(request: Request, visitor: Visitor | None) -> None:
    """Raise 403 when a logged-in browser's form, or script, lacks the session's own token."""
    if visitor is None or visitor.session is None:
        return
    shown = form_of(request).get("csrf") or request.headers.get("x-csrf-token") or ""
    if not compare_digest(shown.encode(errors="replace"), visitor.session.csrf.encode()):
        raise HTTPException(403, "the page that sent this is too old: load it again, and send it once more")
