"""Where exported files go: a folder, or an address that takes PUT. Each arrives whole; arriving twice changes nothing."""

import http.client
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from edged.config import ExportConfig
from edged.errors import ConfigError, Unavailable
from edged.files import sync
from edged.remote import read_secret, server_context

TIMEOUT_S = 30.0
MADE, ALREADY_THERE = (200, 201, 204), 412
REMEDIES = {
    401: "it asks for a token: see export.token_file",
    403: "it does not let this device write there: see export.token_file and the server's rules",
    404: "it takes no PUT at that address: see export.to",
    405: "it takes no PUT at that address: see export.to",
    409: "it lacks the folder: let it make folders (nginx: create_full_put_path on)",
    413: "it takes no file of this size: raise its limit (nginx: client_max_body_size)",
    429: "it has too much to do",
    507: "its disk is full",
}


class Target(Protocol):
    """One place."""

    def put(self, relative: str, source: Path) -> None:
        """Have the content of `source` there under this name, whole. Raise Unavailable with the remedy."""

    def close(self) -> None:
        """Idempotent."""


class FolderTarget:
    """A folder that is there: a stick, a network mount, a disk."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():  # made here it would lie on this device's own disk, below where a stick is mounted
            raise Unavailable(f"{root}: no such folder; plug in and mount the stick, or make the folder once")
        self._root = root

    def put(self, relative: str, source: Path) -> None:
        target, data = self._root / relative, source.read_bytes()
        try:
            with suppress(OSError):
                if target.read_bytes() == data:
                    return
            target.parent.mkdir(parents=True, exist_ok=True)
            # Not `edged.files.replace`: sticks know no permissions, and the one name has what a power cut left written over.
            partial = target.with_name(f".{target.name}.part")
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
            sync(target.parent)
        except OSError as error:
            raise Unavailable(f"{target}: cannot be written ({error.strerror}); it is tried again") from None

    def close(self) -> None:
        """Nothing is held open."""


class WebTarget:
    """An address whose server takes PUT and knows `If-None-Match: *`, on one connection at a time."""

    def __init__(self, config: ExportConfig) -> None:
        parts = urlsplit(config.to or "")
        self._path, self._host = parts.path.rstrip("/"), parts.hostname or ""
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._headers = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}
        if config.token_file is not None:
            self._headers["Authorization"] = f"Bearer {_token(config.token_file)}"
        if parts.scheme == "https":
            context = server_context("export.ca_file", config.ca_file)
            self._link = http.client.HTTPSConnection(self._host, parts.port, timeout=TIMEOUT_S, context=context)
        else:
            self._link = http.client.HTTPConnection(self._host, parts.port, timeout=TIMEOUT_S)  # type: ignore[assignment]

    def put(self, relative: str, source: Path) -> None:
        path, data = f"{self._path}/{quote(relative, safe='/=')}", source.read_bytes()
        status = self._ask("PUT", path, data)
        if status == ALREADY_THERE and (length := self._length(path)) not in (None, len(data)):
            raise Unavailable(f"{self._where}{path}: holds {length} bytes instead of {len(data)}; delete it there")
        if status not in (*MADE, ALREADY_THERE):
            why = REMEDIES.get(status, "look at the server's log")
            raise Unavailable(f"{self._where}{path}: the server answers {status}; {why}. It is tried again")

    def close(self) -> None:
        self._link.close()

    def _length(self, path: str) -> int | None:
        """How long what is there is, if the server says."""
        self._ask("HEAD", path, None)
        return self._content_length

    def _ask(self, method: str, path: str, data: bytes | None) -> int:
        try:
            self._link.request(method, path, data, self._headers if method == "PUT" else {
                key: value for key, value in self._headers.items() if key == "Authorization"
            })  # fmt: skip
            answer = self._link.getresponse()
            length = answer.getheader("Content-Length") if answer.status in MADE else None
            self._content_length = int(length) if length and length.isdecimal() else None
            if len(answer.read(65_536)) == 65_536:
                self._link.close()
            return answer.status
        except (OSError, http.client.HTTPException) as error:
            self._link.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unavailable(f"{self._where}: cannot be reached ({why}); it is tried again") from None


def target_of(config: ExportConfig) -> Target:
    """Of `export.to`. Raise Unavailable where a folder is missing, ConfigError where a token or certificate is."""
    return WebTarget(config) if config.is_web else FolderTarget(Path(config.to or ""))


def _token(path: Path) -> str:
    token = (read_secret("export", "token_file", path, "token") or "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"key export.token_file = '{path}': holds no token; it must be one line")
    return token
