"""`/metrics` for Prometheus, off until `[console] metrics = true`: without a login, since its figures are about no person."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edged.console.route import page, site_of

FORM = "text/plain; version=0.0.4; charset=utf-8"


def metrics(request: Request) -> Response:
    site = site_of(request)
    if not site.config.console.metrics:
        raise HTTPException(404, "figures are off; metrics = true in [console] gives them")
    from edged.console.figures import exposition  # only now: where figures are off Prometheus's library takes no memory

    return Response(exposition(site.metrics.get()), media_type=FORM)


ROUTES = [page("/metrics", metrics, role=None)]
ENTRY = None
