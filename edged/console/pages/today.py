"""The first page: is the rule kept, how sure is that, and does everything work?"""

from starlette.requests import Request
from starlette.responses import Response

from edged.console.render import render
from edged.console.route import Entry, page, site_of


def today(request: Request) -> Response:
    status, why_dead = site_of(request).status_if_any()
    return render(request, "today.html", title="Today", status_=status, why_dead=why_dead)


ROUTES = [page("/", today)]
ENTRY = Entry("Today", "/")
