"""Makes pages from templates: the frame that all of them share, in which every text is escaped."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse

from edged import __version__
from edged.console.route import Entry, site_of, visitor_of
from edged.report.page import environment_of
from edged.report.words import WORDS, duration

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Banner:
    """One line at the top of a page."""

    kind: Literal["problem", "note"]
    text: str


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    refresh_s: int | None = None,
    banners: tuple[Banner, ...] = (),
    **values: Any,
) -> HTMLResponse:
    """The page `template` with `values`; `title` should be among them. `refresh_s`: loaded again by itself so often."""
    visitor = visitor_of(request)
    session = visitor.session if visitor else None
    entries: tuple[Entry, ...] = request.app.state.menu
    text = (
        environment()
        .get_template(template)
        .render(
            site_name=_site_name(request),
            version=__version__,
            path=request.url.path,
            menu=[entry for entry in entries if visitor and visitor.may(entry.role)],
            visitor=visitor,
            csrf=session.csrf if session else "",
            unhidden=unhidden(request),
            banners=banners,
            refresh_s=refresh_s,
            words=WORDS,
            **values,
        )
    )
    return HTMLResponse(text, status, headers)


def unhidden(request: Request) -> list[str]:
    """Who sees faces unhidden, and why, in words: every open page says so, and `unhidden.js` keeps it fresh."""
    return [
        f"{site_of(request).camera_name(view['camera'])}: faces are shown unhidden to {view['who']}: {view['reason']}."
        f" It ends by itself in {duration(view['left_s'])}."
        for view in getattr(request.state, "clear_views", ())
    ]


def static_url(name: str) -> str:
    """The address of a file in static/, another one for other contents, so that browsers may keep it."""
    return f"/static/{name}?{_digest(name)}"


@cache
def environment() -> Environment:
    """As the report's pages have it."""
    made = environment_of("edged.console")
    made.globals["static"] = static_url
    return made


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def _site_name(request: Request) -> str:
    config = site_of(request).config
    return config.report.site or config.device.name
