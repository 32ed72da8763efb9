"""Camera source URIs: which schemes there are, what each may say, and how one is shown without its password."""

import posixpath
import re
import shlex
import unicodedata
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from edged.config.address import CONTROLS, PORTS, is_host
from edged.rtsp_ports import USUAL_PORTS

OPTIONS = {
    "file": {"loop", "realtime", "fps"},
    "images": {"loop", "fps"},
    "v4l2": {"width", "height", "fps", "exposure", "mjpeg"},
    "csi": {"width", "height", "fps", "exposure"},
    "picamera": {"width", "height", "fps", "exposure"},
    "gst": set(),
    "rtsp": set(),
    "rtsps": set(),
}
EXAMPLES = (
    "csi://0, picamera://0, v4l2:///dev/v4l/by-id/…, rtsp://host/path, file:///path.mp4?loop=1, images:///folder, "
    "gst:element ! element"
)
LIMITS = {
    "loop": (0, 1),
    "realtime": (0, 1),
    "fps": (1, 240),
    "width": (16, 16_384),
    "height": (16, 16_384),
    "exposure": (10, 1_000_000),  # microseconds
    "mjpeg": (0, 1),
}
STREAMS = ("rtsp", "rtsps")
BRACKETS = "an IPv6 address stands in brackets, as in rtsp://[fd00::1]:554/path"
RESERVED = "/?#[]@%"
"""Characters that end or divide the part of an address that holds user and password."""
NUMBERED = ("csi", "picamera")
DEVICE_FOLDERS = ("/dev", "/dev/v4l", "/dev/v4l/by-id", "/dev/v4l/by-path")
LOCAL_PATH = re.compile(r"['\"]?(file|images|v4l2):///")
REFUSED = re.compile(r"^(['\"]?(?:(?:rtsps?|mqtts?|https?|tcp|gst):/*)?).*@", re.DOTALL)
SECRET_OPTION = re.compile(r"""(?i)((?:password|passwd|pass|pwd|user-pw)\s*=\s*)("[^"]*"|[^&\s'"]+)""")
SIZE_STEP = 8
"""Width and height that GStreamer or a Pi camera is asked for are multiples of this, so that rows have no padding."""
SINKS = re.compile(r"(fd|app|fake|file|shm|autovideo|x[v]?image|gl\w*)sink")


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed source URI. `options` are whole numbers.

    `path` is the local path, decoded; the number of a csi or picamera; the elements of a gst pipeline; empty for streams.
    """

    uri: str
    scheme: str
    path: str
    options: dict[str, int]


def parse_source(uri: str) -> Source:
    """Take a source URI apart. In local paths %20 and the like stand for characters that a URI cannot hold.

    Raise ValueError saying what would be right.
    """
    if uri.startswith("gst:"):
        return Source(uri=uri, scheme="gst", path=_pipeline(uri.removeprefix("gst:")), options={})
    if CONTROLS.search(uri):  # Python's reader of addresses leaves tabs and line breaks out: it would open another file
        raise ValueError("a control character cannot stand in an address; a tab is written %09, a line break %0a")
    parts = _split(uri)
    if parts.scheme in ("v4l2", *NUMBERED) and (written := _in_ascii(uri)) != uri:
        raise ValueError(f"digits are written 0 to 9: {written}")
    if parts.scheme not in OPTIONS:
        raise ValueError(_other_kind(uri) or f"unknown kind of source; use one of {EXAMPLES}")
    if not uri.startswith(parts.scheme):
        raise ValueError(f"the kind of source is written in lower case, without spaces before it: {parts.scheme}:")
    if parts.scheme in NUMBERED:
        return _numbered(uri, parts)
    if parts.scheme in STREAMS:
        _check_stream(uri, parts)
        return Source(uri=uri, scheme=parts.scheme, path="", options={})
    return Source(uri=uri, scheme=parts.scheme, path=_path(uri, parts), options=_options(parts.scheme, parts.query))


def _path(uri: str, parts: SplitResult) -> str:
    """The local path, decoded."""
    if parts.netloc:
        raise ValueError(
            f"a local path needs three slashes: {parts.scheme}:///{parts.netloc.rpartition('@')[2]}{parts.path}"
        )
    if len(parts.path) < 2:
        raise ValueError(f"the path is missing: {parts.scheme}:///…")
    if "#" in uri:
        raise ValueError("a # in a path is written %23")
    path = unquote(parts.path, errors="surrogateescape")
    if "\0" in path:
        raise ValueError("a path cannot hold %00")
    if parts.scheme == "v4l2" and (path.endswith("/") or posixpath.normpath(path) in DEVICE_FOLDERS):
        raise ValueError("that is a folder of cameras; edged cameras prints the address of each in it")
    return path


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
    return SECRET_OPTION.sub(r"\1***", without_user)


def redact_refused(value: str) -> str:
    """Like `redact`, for a value that was refused: what was meant is not known, so that all before the last @ may be secret.

    `value` may stand in quotes. Only in local paths an @ is a letter like others.
    """
    if re.match(LOCAL_PATH, value):
        return redact(value)
    return redact(REFUSED.sub(r"\1***@", value))


def has_password(uri: str) -> bool:
    """Whether a stream's URI holds a user or a password, which a file readable by few should hold."""
    return uri.startswith(STREAMS) and redact(uri) != uri


def with_credentials(uri: str, credentials: str) -> str:
    """A stream's URI with `user:password` put in, quoted, in the place of any that it holds."""
    user, _, password = credentials.strip().partition(":")
    scheme, rest = uri.split("://", 1)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}{rest.removeprefix(authority)}"


def _in_ascii(text: str) -> str:
    """The text with the digits of every script as those that programs read."""
    return "".join(str(unicodedata.digit(one)) if one.isdigit() else one for one in text)


def _split(uri: str) -> SplitResult:
    """Raise ValueError in words of ours: Python's would quote the password."""
    try:
        return urlsplit(uri)
    except ValueError:
        why = _reserved("[]") if "@" in uri else BRACKETS
    raise ValueError(why)


def _check_stream(uri: str, parts: SplitResult) -> None:
    """Raise ValueError where FFmpeg would read another address than was meant. The password is in no message."""
    if not uri.isprintable() or " " in uri:
        raise ValueError("a space or control character cannot stand in an address; a space is written %20")
    if CONTROLS.search(unquote(uri)):
        raise ValueError("a control character cannot stand in an address, not even written as %0d")
    user, at, host = parts.netloc.rpartition("@")
    after = uri.partition("://")[2].removeprefix(parts.netloc)
    # A / # or ? that was meant to be part of the password ends the host: admin:pa/ss@host, admin:12/34@host.
    if "@" in after and (at or ":" in host) and "." not in host and "[" not in host:
        raise ValueError(_reserved(after.rpartition("@")[0]) + " (an @ in the path is written %40)")
    if "@" in after.partition("/")[0]:  # some programs would take what follows it for the host
        raise ValueError("an @ after the host is written %40")
    if re.search(r"%(?![0-9A-Fa-f]{2})", user):
        raise ValueError(_reserved("%"))
    if host.count(":") > 1 and not host.startswith("["):
        raise ValueError(BRACKETS)
    if not parts.hostname:
        raise ValueError(f"the host is missing: {parts.scheme}://host/path")
    if not is_host(parts.hostname):
        raise ValueError(f"the host must be the camera's name or address, as in {parts.scheme}://192.168.1.20/path")
    port = host.rpartition("]")[2].partition(":")[2]
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and int(port) in PORTS):
        raise ValueError(f"the port must be a whole number from 1 to {PORTS[-1]}; usual is {USUAL_PORTS[parts.scheme]}")


def _other_kind(uri: str) -> str:
    """What was probably meant by a path or an address without its kind; "" where nobody can tell."""
    if uri.startswith("/dev/"):
        return f"a camera on this machine is written v4l2://{uri}"
    if uri.startswith("/"):
        return f"a recording is written file://{uri}, a folder of pictures images://{uri}"
    if re.fullmatch(r"[0-9]{1,2}", uri):
        return f"a camera's number is written v4l2:///dev/video{uri}, csi://{uri} or picamera://{uri}"
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(:[0-9]+)?(/[^@]*)?", uri):
        return f"a network camera is written rtsp://{uri}"
    if uri.startswith(("http://", "https://")):
        return "pictures over http are not read; most such cameras also speak rtsp://host:554/path"
    return ""


def _reserved(text: str) -> str:
    """How the reserved characters in `text`, a user and password, are written."""
    written = ", ".join(f"{character} as {quote(character, safe='')}" for character in RESERVED if character in text)
    return f"in a user or password write {written}; or leave both out, and put user:password as they are into credentials_file"


def _numbered(uri: str, parts: SplitResult) -> Source:
    """A camera known by its number, as in csi://0."""
    if not re.fullmatch(r"[0-9]{1,2}", parts.netloc) or parts.path not in ("", "/") or parts.fragment:
        raise ValueError(
            f"a {parts.scheme} camera is named by its number, as in {parts.scheme}://0?width=1280&height=720"
        )
    options = _options(parts.scheme, parts.query)
    if ("width" in options) != ("height" in options):
        raise ValueError("width and height go together: give both, or neither")
    for name in ("width", "height"):
        if options.get(name, 0) % SIZE_STEP:
            raise ValueError(f"option {name}={options[name]} must be a multiple of {SIZE_STEP}")
    return Source(uri=uri, scheme=parts.scheme, path=str(int(parts.netloc)), options=options)


def _pipeline(text: str) -> str:
    """The elements of a GStreamer pipeline that ends in raw or decoded video; a sink is put after it."""
    try:
        elements = " ".join(shlex.split(text)).split("!")
    except ValueError as error:
        raise ValueError(f"the pipeline's quotes do not match ({error})") from None
    if not all(element.strip() for element in elements):
        raise ValueError("a pipeline is elements with a ! between two of them, as in gst:v4l2src ! jpegdec")
    last = elements[-1].split()[0]
    if SINKS.fullmatch(last):
        raise ValueError(f"the pipeline must not end in a sink ({last}); edged puts its own there")
    if re.search(r"(?i)user-pw|password|://[^/\s]*@", text):
        raise ValueError(
            "a password in a pipeline would show in the list of processes; use rtsp:// with credentials_file"
        )
    return text.strip()


def _options(scheme: str, query: str) -> dict[str, int]:
    options: dict[str, int] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in OPTIONS[scheme]:
            known = ", ".join(sorted(OPTIONS[scheme]))
            raise ValueError(f"unknown option {key!r} for {scheme}; it takes {known}")
        low, high = LIMITS[key]
        if not re.fullmatch(r"[0-9]{1,7}", value) or not low <= int(value) <= high:
            raise ValueError(f"option {key}={value!r} must be a whole number from {low} to {high}")
        options[key] = int(value)
    return options
