"""What connections to other machines need: secrets and certificates from files, an end in time, one line when they fail."""

import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

from edged.errors import ConfigError, Unavailable
from edged.files import read_regular

LONGEST_SECRET_BYTES = 65_535  # what MQTT can carry
LONGEST_WORDS = 160
CONNECT_S, ANSWER_S, WHOLE_S = 10.0, 20.0, 30.0
"""For the connection, for each answer, and for all of it together."""
MOST_WAITS = 4
"""A name may have any number of addresses: finding one that answers takes no longer than so many that do not."""
SLOWEST_BYTES_S = 2048
"""What is sent may take longer than that by so much that at least so many bytes go in a second."""
MOST_HEARD_BYTES = 262_144
"""No answer that we know how to read is longer."""
HEEDED_BYTES = 4096
"""So much of a refusal is read, where it is read."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another machine as the config names it, and the keys that say so."""

    what: str
    host: str
    port: int
    host_key: str
    port_key: str
    ca_key: str

    @property
    def where(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_secret(section: str, key: str, path: Path | None, what: str = "password") -> str | None:
    """The secret from the file that `key` names, else from the systemd credential of the section's and secret's names, else None.

    Raise ConfigError if it is unreadable. The text itself is in no message.
    """
    if path is not None:
        return _secret(path, f"key {section}.{key} = '{path}'", f"write the {what} into it, or leave the key out", what)
    folder, credential = os.environ.get("CREDENTIALS_DIRECTORY"), f"{section}_{what}"
    if folder and (file := Path(folder) / credential).exists():
        remedy = (
            f"the file that the unit's LoadCredential= names is missing, or holds nothing: put the {what} into it"
            f" (/etc/edged/{section}-{what} in 20-credential.conf), and restart the unit"
        )
        return _secret(file, f"systemd credential {credential}", remedy, what)
    return None


def has_secret(section: str, path: Path | None) -> bool:
    """Whether `read_secret` would look for a password in a file."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return path is not None or bool(folder and (Path(folder) / f"{section}_password").exists())


def _secret(path: Path, where: str, remedy: str, what: str) -> str:
    """The file's text without a byte order mark and its one trailing newline."""
    try:
        secret = read_file(path, where).decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: is not UTF-8 text; write the {what} alone into it") from None
    if not secret:
        raise ConfigError(f"{where}: is empty; {remedy}")
    return secret


def read_file(path: Path, where: str) -> bytes:
    """A small file that a key of the config names. Raise ConfigError."""
    try:
        return read_regular(path, LONGEST_SECRET_BYTES * 16)
    except OSError as error:
        raise ConfigError(
            f"{where}: cannot be read ({error.strerror}); the file must exist and be readable by the user edged runs as"
        ) from None
    except ValueError:
        raise ConfigError(
            f"{where}: is too large to be what it should be; name the file that holds it, and nothing else"
        ) from None


def server_context(key: str, ca_file: Path | None) -> ssl.SSLContext:
    """What checks a server's certificate and name, by `ca_file` alone where there is one. Raise ConfigError naming `key`."""
    if ca_file is not None:
        read_file(ca_file, f"key {key} = '{ca_file}'")
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"key {key} = '{ca_file}': holds no certificate ({reason(error)}); it must be PEM") from None


def reason(error: Exception) -> str:
    """In a word or two, without what the error was about."""
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)


def one_line(said: str) -> str:
    """What another machine said, as one short printable line."""
    line = "".join(letter if letter.isprintable() else " " for letter in said).strip()
    return line if len(line) <= LONGEST_WORDS else f"{line[: LONGEST_WORDS - 1]}…"


def cannot_reach(error: Exception, peer: Peer) -> str:
    """Why no connection came about, or none that answers."""
    match error:
        case SaysTooMuch():
            return f"{peer.where}: says more than any {peer.what} does; check {peer.port_key}"
        case ssl.SSLCertVerificationError():
            return (
                f"{peer.where}: the {peer.what}'s certificate is not accepted ({error.verify_message});"
                f" check {peer.ca_key}, and that {peer.host_key} is a name in the certificate"
            )
        case ssl.SSLError():
            return f"{peer.where}: no TLS connection ({error.reason or 'broken off'}); check {peer.port_key}"
        case socket.gaierror() | UnicodeError():
            return f"cannot resolve {peer.host}; check {peer.host_key} and this network's name server"
        case ConnectionRefusedError():
            return f"{peer.where}: nothing listens there; check that the {peer.what} runs, and {peer.port_key}"
        case TimeoutError():
            return f"{peer.where}: no answer; check {peer.host_key}, the network and any firewall"
        case ConnectionError() | HTTPException():
            return f"{peer.where}: closed the connection instead of answering; check {peer.port_key}"
        case OSError():
            return f"{peer.where}: cannot be reached ({error.strerror or error}); check the network"
    return f"{peer.where}: cannot be reached ({type(error).__name__})"


class SaysTooMuch(OSError):
    """Another machine talks without end."""


class _Counted(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._left = raw, MOST_HEARD_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise SaysTooMuch
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def bounded(heard: Any) -> io.BufferedReader:
    """A connection's file for reading that raises SaysTooMuch after MOST_HEARD_BYTES."""
    return io.BufferedReader(_Counted(heard.detach()))


class _Response(HTTPResponse):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.fp = bounded(self.fp)


class _Connection(HTTPConnection):
    response_class = _Response


def reach(host: str, port: int, each_s: float) -> socket.socket:
    """A TCP connection to the first of the host's addresses that takes one, with `each_s` as its time-out.

    Every address is tried, for `each_s` at most, and for less where there are many: all of them together have MOST_WAITS times
    that. Only the lookup of the name comes on top. Raise OSError, of the address that was tried last.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    until = time.monotonic() + MOST_WAITS * each_s
    last: OSError | None = None
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        patience_s = min(each_s, (until - time.monotonic()) / left)
        if patience_s <= 0:
            break
        try:
            return _connected(socket.socket(family, kind, protocol), address, patience_s, each_s)
        except OSError as error:
            last = error
    raise last or socket.gaierror(f"{host} has no address")


def _connected(made: socket.socket, address: Any, patience_s: float, later_s: float) -> socket.socket:
    """`made`, connected within `patience_s`; whatever is done with it later takes `later_s` at most. Raise OSError."""
    try:
        made.settimeout(patience_s)
        made.connect(address)
        made.settimeout(later_s)
    except BaseException:
        made.close()
        raise
    return made


class Dial:
    """Connections that end in time, one after the other: whatever their peer does, and for good when `cut` is called."""

    def __init__(self, whole_s: float = WHOLE_S) -> None:
        self._whole_s = whole_s
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._was_cut = False
        self._is_over = False

    @contextmanager
    def connection(self, peer: Peer, sends: int = 0) -> Iterator[socket.socket]:
        """A TCP connection for what is done within, which sends so many bytes where these are many.

        Raise OSError; TimeoutError also where the whole takes too long, and from `cut` on.
        """
        longer_s = sends / SLOWEST_BYTES_S
        with reach(peer.host, peer.port, CONNECT_S) as connection:
            connection.settimeout(ANSWER_S + longer_s)
            # Another name for the same connection: wrapping it in TLS takes the first one away.
            with connection.dup() as handle:
                timer = threading.Timer(self._whole_s + longer_s, self._cut_open)
                timer.daemon = True
                with self._lock:
                    if self._is_over:  # also where that came while it was connecting
                        raise TimeoutError
                    self._handle, self._was_cut = handle, False
                timer.start()
                try:
                    yield connection
                except (OSError, HTTPException, ValueError):
                    if not self._was_cut:
                        raise
                finally:
                    timer.cancel()
                    with self._lock:
                        self._handle = None
                if self._was_cut:  # what was cut off may look whole
                    raise TimeoutError

    def cut(self) -> None:
        """End the connection that is open or coming about, if one is; none comes about any more. From any thread."""
        with self._lock:
            self._is_over = True
        self._cut_open()

    def _cut_open(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._was_cut = True
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)


class Answer(NamedTuple):
    """What a web server said."""

    status: int
    reason: str
    length: int | None
    """Of what it has there, if it says."""
    said: str
    """The beginning of its body, where that is heeded."""


class Http:
    """Requests to one web server, each on a connection of its own, which ends in time whatever the server does."""

    def __init__(self, peer: Peer, context: ssl.SSLContext | None, dial: Dial | None = None) -> None:
        self.peer = peer
        self._context = context
        self._dial = dial or Dial()

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        heed: bool = False,
        patient: bool = False,
    ) -> Answer:
        """What it answers. No redirect is followed, and a body read only in part, of a refusal, with `heed`.

        With `patient` a large body has time to pass a slow line. Raise Unavailable where no answer comes about.
        """
        with self._connection(len(body or b"") if patient else 0) as connection:
            connection.request(method, target, body, {**headers, "Connection": "close"})
            with connection.getresponse() as answer:
                said = answer.read(HEEDED_BYTES) if heed and answer.status >= 300 and method != "HEAD" else b""
                length = answer.getheader("Content-Length", "")
                whole = int(length) if length.isascii() and length.isdecimal() and len(length) < 20 else None
                return Answer(answer.status, answer.reason, whole, said.decode(errors="replace"))

    def probe(self) -> None:
        """Connect, and check the certificate; nothing is asked. Raise Unavailable."""
        with self._connection(0):
            pass

    def cut(self) -> None:
        """End what is under way, which fails, as does whatever is asked from now on. From any thread."""
        self._dial.cut()

    @contextmanager
    def _connection(self, sends: int) -> Iterator[HTTPConnection]:
        host, port = self.peer.host, self.peer.port
        try:
            with self._dial.connection(self.peer, sends) as plain:
                connection = _Connection(host, port)
                connection.sock = self._context.wrap_socket(plain, server_hostname=host) if self._context else plain
                try:
                    yield connection
                finally:
                    connection.close()
        except (OSError, HTTPException, UnicodeError) as error:
            raise Unavailable(cannot_reach(error, self.peer)) from None
