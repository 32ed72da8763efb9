"""The support bundle: what a helper needs to see, without secrets, hosts and anything about people."""

import io
import json
import platform
import re
import sys
import zipfile
from collections.abc import Mapping, Set
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

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
    r"|(?<![\w:])(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}(?![\w:])"  # MAC addresses
    r"|[\w.+-]+@[\w.-]+"
)
COLONS = re.compile(r"(?<![\w:.])[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
"""What may be an IPv6 address: so may a time, which is none."""
BY_PEOPLE = {"reason", "who"}
"""What a person wrote, where one asked for a pause or a clear view; a camera's reason alone is the program's own."""
EVERYWHERE = {"edged", "localhost"}
"""Names that say nothing of a site, and stand in paths and units too."""
URL = re.compile(r"\b([a-z][a-z0-9+]*)://(?:\\.|[^\s\"\\])+")
"""To the next blank, or end of a text in JSON: all other signs may be a password's."""


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
    return without_hosts(files, hosts_of(site.layered.config.model_dump(mode="json")))


def zipped(files: Mapping[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"edged-support/{name}", text)
    return data.getvalue()


def redacted(text: str) -> str:
    """Without addresses of machines and people, and with nothing of a URL but its scheme."""
    return COLONS.sub(_hidden, ADDRESS.sub("***", URL.sub(r"\1://***", text)))


def _hidden(found: re.Match[str]) -> str:
    """Three stars for an IPv6 address, and the text itself for what is none."""
    text = found.group()
    address = text.rstrip(".:") if not text.rstrip(".").endswith("::") else text.rstrip(".")
    try:
        ip_address(address)
    except ValueError:
        return text
    return "***" + text.removeprefix(address)


def hosts_of(part: Any, key: str = "") -> set[str]:
    """The names of other machines in a config: all that stands under the keys that stay here, and the hosts of all addresses."""
    if isinstance(part, dict):
        return set().union(*(hosts_of(value, name) for name, value in part.items()))
    if isinstance(part, list | tuple):
        return set().union(*(hosts_of(value, key) for value in part))
    if not isinstance(part, str):
        return set()
    host = _host(part) if "://" in part else part if key in HIDDEN else None
    return {host} - EVERYWHERE if host and len(host) > 1 else set()


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def without_hosts(files: Mapping[str, str], hosts: Set[str]) -> dict[str, str]:
    """The files without these names, whichever line they stand in."""
    if not hosts:
        return dict(files)
    longest_first = "|".join(re.escape(host) for host in sorted(hosts, key=len, reverse=True))
    named = re.compile(rf"(?<![\w.-])(?:{longest_first})(?![\w-])", re.IGNORECASE)
    return {name: named.sub("***", text) for name, text in files.items()}


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


def unsigned(part: Any) -> Any:
    """Without who asked for something, and what they wrote as their reason."""
    if isinstance(part, dict):
        hidden = BY_PEOPLE if "who" in part else ()
        return {key: "***" if key in hidden and value else unsigned(value) for key, value in part.items()}
    return [unsigned(value) for value in part] if isinstance(part, list) else part


def _status(site: Site) -> str:
    return redacted(json.dumps(unsigned(site.ask()), indent=1))


def _events(site: Site) -> str:
    """What happened to the device and its cameras; nothing about people."""
    since = site.clock.utc_ms() - DAYS * DAY_MS
    rows = site.reader.latest_events(MOST_EVENTS, since=since, kinds=("camera", "system"))
    return "".join(redacted(json.dumps(unsigned(row))) + "\n" for row in rows)


def _store(site: Site) -> str:
    counted = site.reader.counted(0, 2**62)
    return json.dumps(
        {"rows": counted, "outbox": site.reader.outbox_depth(), "reports": len(site.reader.reports())}, indent=1
    )
