"""The pages, one module for each.

A module has `ROUTES`, made by `edged.console.route.page`, and `ENTRY`, its place in the menu, or None. To add one, write the
module and its templates (`edged/console/templates/`, which extend `base.html`), and name it in `MODULES`; the menu has
their order. `site_of(request)` is the device, `render` makes the page, `see` answers a form.
"""

from collections.abc import Sequence
from typing import Protocol

from starlette.routing import Route

from edged.console.pages import (
    access,
    api,
    camera,
    events,
    health,
    kiosk,
    live,
    login,
    metrics,
    reports,
    setup,
    today,
)
from edged.console.route import Entry


class PageModule(Protocol):
    """What is asked of each."""

    @property
    def ROUTES(self) -> Sequence[Route]: ...  # noqa: N802

    @property
    def ENTRY(self) -> Entry | None: ...  # noqa: N802


MODULES: tuple[PageModule, ...] = (
    *(today, camera, events, reports, health, setup, access),
    *(login, live, kiosk, api, metrics),
)
