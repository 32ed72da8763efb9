"""What may stand where the config asks for another machine: a name or an address, and nothing around it."""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
SCHEMES_WITH_TLS = ("mqtts", "ssl", "tls")
WEBSOCKETS = ("ws", "wss", "http", "https")
PORTS = range(1, 65_536)
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no address may hold, not even written with %: it would end a line of what is sent."""


def check_host(value: str) -> str:
    """The name or address itself. Raise ValueError with the right spelling when it is a URL, or holds a port or a user."""
    if is_host(value):
        return value
    try:
        parts = urlsplit(value if "://" in value else f"//{value}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port, parts = "", None, urlsplit("")
    if not is_host(name):
        raise ValueError('must be the broker\'s name or address alone, such as "broker.example.org" or "192.168.1.10"')
    keys = [f'host = "{name}"']
    if port in PORTS:
        keys.append(f"port = {port}")
    if parts.scheme in SCHEMES_WITH_TLS:
        keys.append("tls = true")
    if parts.username:
        keys.append("username and password_file")
    hint = "; MQTT over WebSockets is not spoken" if parts.scheme in WEBSOCKETS else ""
    raise ValueError(f"must be the broker's name or address alone; write {', '.join(keys)}{hint}")


def check_url(value: str) -> SplitResult:
    """The parts of a whole http or https address. Raise ValueError; its text does not repeat `value`, which may hold a token."""
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        whole, parts = False, urlsplit("")
    if not whole or not value.isprintable() or " " in value or CONTROLS.search(unquote(value)):
        raise ValueError('must be a whole address, such as "http://door.example.org:8080/"')
    return parts


def is_host(value: str) -> bool:
    """Whether it is an address, or a name that the network's name service can be asked for.

    No name ends in a number: 192.168.1.300 and 192.168.1 are addresses with a mistake.
    """
    try:
        ip_address(value)
    except ValueError:
        try:
            name = value.encode("idna").decode()
            return NAME.fullmatch(name) is not None and not re.search(r"(^|\.)[0-9]+\.?$", name)
        except UnicodeError:
            return False
    return True


def is_private(host: str) -> bool:
    """Whether `host` surely is this machine, or in the site's own network."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return False
