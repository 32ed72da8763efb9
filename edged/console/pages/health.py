"""Health: what runs, what is wrong and what to do, a restart, the self-test, and what a helper needs to see."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edged.console.bundle import DAYS, bundle, zipped
from edged.console.pages.today import device_facts
from edged.console.parts import STANDS_STILL, backend_words, model_words, part_words
from edged.console.render import render
from edged.console.route import Entry, page, see, site_of
from edged.console.selftest import SELF_TEST
from edged.console.site import Site
from edged.console.working import CAMERA_ICONS, CAMERA_WORDS, sentence, span, working
from edged.host.device import resident_mb

REFRESH_S = 10
WHAT = {
    "about.txt": "versions of edged, Python and the system; the board",
    "config.json": "the settings in force, without secrets, hosts and addresses",
    "status.json": "what the daemon says of itself now",
    "events.jsonl": f"what happened to the device and its cameras in the last {DAYS} days; nothing about people",
    "store.json": "how many rows and reports there are",
}


def health(request: Request) -> Response:
    site = site_of(request)
    status, why_dead = site.status_if_any()
    workers: Mapping[str, int | None] = (status or {}).get("workers", {})
    parts = [(part_words(site, name), age is not None) for name, age in workers.items()]
    state = working(site, status, why_dead)
    return render(
        request,
        "health.html",
        title="Health",
        refresh_s=REFRESH_S if SELF_TEST.running else None,
        working=state,
        left_out=[line for line in map(sentence, site.layered.left_out) if line not in state.more],
        daemon=status,
        cameras=_cameras(site, status),
        device=device_facts(site, status),
        parts=parts,
        still=[words for words, well in parts if not well],
        stands_still=STANDS_STILL,
        models=[(model_words(name), backend_words(on)) for name, on in (status["models"] if status else {}).items()],
        model_words=model_words,
        backend_words=backend_words,
        memory=resident_mb(),
        test=SELF_TEST,
        asked=request.query_params.get("asked", ""),
    )


def restart(request: Request) -> Response:
    site_of(request).order("restart")
    return see("/health?asked=restart")


def selftest(request: Request) -> Response:
    SELF_TEST.start(site_of(request))
    return see("/health#test")


def contents(request: Request) -> Response:
    """What the bundle would hold, before it is downloaded."""
    files = bundle(site_of(request))
    shown = [(name, WHAT[name], len(text.encode()), text[:20_000]) for name, text in files.items()]
    return render(request, "bundle.html", title="Support bundle", files=shown)


def download(request: Request) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="edged-support.zip"'}
    return Response(zipped(bundle(site_of(request))), headers=headers, media_type="application/zip")


def _cameras(site: Site, status: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {
            "name": site.camera_name(name),
            "icon": CAMERA_ICONS.get(camera["status"], "!"),
            "words": CAMERA_WORDS.get(camera["status"], camera["status"]),
            "well": camera["status"] in ("online", "paused") and not camera["reason"],
            "since": span(camera["since_s"]),
            "reason": camera["reason"] or "",
            "seen": camera["frames_seen"],
            "analysed": camera["frames_analysed"],
            "ms": sum(camera["stages_ms"].values()) if camera["stages_ms"] else None,
            "reconnects": camera["reconnects"],
        }
        for name, camera in (status["cameras"] if status else {}).items()
    ]


ROUTES = [
    page("/health", health),
    page("/health/restart", restart, role="admin", methods=("POST",)),
    page("/health/selftest", selftest, role="admin", methods=("POST",)),
    page("/health/bundle", contents, role="admin"),
    page("/health/bundle.zip", download, role="admin"),
]
ENTRY = Entry("Health", "/health")
