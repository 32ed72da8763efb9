"""The support bundle: what a helper needs to see, without secrets, hosts and anything about people."""

import io
import json
import platform
import re
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

from edged import __version__
from edged.console.site import Site
from edged.errors import EdgedError
from edged.host.clock import DAY_MS
from edged.host.device import device_model, resident_mb, usable_processors

DAYS = 7
MOST_EVENTS = 2000
HIDDEN = {"password_file", "username", "credentials_file", "token_file", "secret_file", "url", "host", "hosts", "to"}
"""Keys of the config whose values stay here: secrets' places, names and addresses of other machines."""
ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b"  # IPv4
    r"|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])"  # IPv6, and MAC addresses
    r"|[\w.+-]+@[\w.-]+"
)
URL = re.compile(r"\b([a-z][a-z0-9+]*)://[^\s\"',;]+")


def bundle(site: Site) -> dict[str, str]:
    """By name, the text of each file."""
    files: dict[str, str] = {"about.txt": _about()}
    for name, make in (
        ("config.json", _config),
        ("status.json", _status),
        ("events.jsonl", _events),
        ("store.json", _store),
    ):
        try:
            files[name] = make(site)
        except EdgedError as error:
            files[name] = redacted(str(error))
    return files


def zipped(files: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"edged-support/{name}", text)
    return data.getvalue()


def redacted(text: str) -> str:
    """Without addresses of machines and people, and with nothing of a URL but its scheme."""
    return ADDRESS.sub("***", URL.sub(r"\1://***", text))


def _about() -> str:
    return (
        f"edged {__version__}\nPython {sys.version.split()[0]}\n{platform.platform()}\n"
        f"{device_model()}, {usable_processors()} processors\nconsole: {resident_mb():.0f} MB resident\n"
    )


def _config(site: Site) -> str:
    layered = site.layered
    shown = {
        "config": _without(layered.config.model_dump(mode="json")),
        "files": [str(layered.base.path), *(str(layer.path) for layer in layered.layers)],
        "left_out": list(layered.left_out),
        "problem": site.problem,
    }
    return redacted(json.dumps(shown, indent=1))


def _without(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: "***" if key in HIDDEN and value else _without(value) for key, value in part.items()}
    return [_without(value) for value in part] if isinstance(part, list) else part


def _status(site: Site) -> str:
    return redacted(json.dumps(site.ask(), indent=1))


def _events(site: Site) -> str:
    """What happened to the device and its cameras; nothing about people."""
    since = site.clock.utc_ms() - DAYS * DAY_MS
    rows = site.reader.latest_events(MOST_EVENTS, since=since, kinds=("camera", "system"))
    return "".join(redacted(json.dumps(row)) + "\n" for row in rows)


def _store(site: Site) -> str:
    counted = site.reader.counted(0, 2**62)
    return json.dumps(
        {"rows": counted, "outbox": site.reader.outbox_depth(), "reports": len(site.reader.reports())}, indent=1
    )
