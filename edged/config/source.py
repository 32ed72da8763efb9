"""Camera source URIs: which schemes there are, what each may say, and how one is shown without its password."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

OPTIONS = {
    "file": {"loop", "realtime"},
    "images": {"loop", "fps"},
    "v4l2": {"width", "height", "fps"},
    "rtsp": set(),
    "rtsps": set(),
}
EXAMPLES = "v4l2:///dev/v4l/by-id/…, rtsp://host/path, file:///path.mp4?loop=1, images:///folder"
LIMITS = {"loop": (0, 1), "realtime": (0, 1), "fps": (1, 240), "width": (16, 16_384), "height": (16, 16_384)}


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source URI. `path` is the local path, decoded, empty for streams; `options` are whole numbers."""

    uri: str
    scheme: str
    path: str
    options: dict[str, int]


def parse_source(uri: str) -> Source:
    """Take a source URI apart. In local paths %20 and the like stand for characters that a URI cannot hold.

    Raise ValueError saying what would be right.
    """
    parts = urlsplit(uri)
    if parts.scheme not in OPTIONS:
        raise ValueError(f"unknown kind of source; use one of {EXAMPLES}")
    local = parts.scheme not in ("rtsp", "rtsps")
    if local and parts.netloc:
        raise ValueError(f"a local path needs three slashes: {parts.scheme}:///{parts.netloc}{parts.path}")
    if local and len(parts.path) < 2:
        raise ValueError(f"the path is missing: {parts.scheme}:///…")
    if local and "#" in uri:
        raise ValueError("a # in a path is written %23")
    path = unquote(parts.path, errors="surrogateescape") if local else ""
    if "\0" in path:
        raise ValueError("a path cannot hold %00")
    if not local and not parts.hostname:
        raise ValueError(f"the host is missing: {parts.scheme}://host/path")
    options = {} if not local else _options(parts.scheme, parts.query)
    return Source(uri=uri, scheme=parts.scheme, path=path, options=options)


def check_source(uri: str) -> str:
    """Return `uri` if it can be parsed; raise ValueError otherwise."""
    parse_source(uri)
    return uri


def redact(uri: str) -> str:
    """The URI with any user name and password hidden, fit for logs and screens.

    Everything up to the last @ goes, since people write passwords with @, / and spaces in them; local paths have three
    slashes. Some cameras take the password in the address: the values of such options go too.
    """
    without_user = re.sub(r"(?<!/)//(?!/).*@", "//***@", uri, flags=re.DOTALL)
    return re.sub(r"(?i)((?:password|passwd|pass|pwd)=)[^&\s'\"]+", r"\1***", without_user)


def _options(scheme: str, query: str) -> dict[str, int]:
    options: dict[str, int] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS[scheme]:
            known = ", ".join(sorted(OPTIONS[scheme]))
            raise ValueError(f"unknown option {key!r} for {scheme}; it takes {known}")
        low, high = LIMITS[key]
        if not re.fullmatch(r"\d{1,6}", value) or not low <= int(value) <= high:
            raise ValueError(f"option {key}={value!r} must be a whole number from {low} to {high}")
        options[key] = int(value)
    return options
