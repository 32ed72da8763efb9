"""Where exported files go: a folder, or an address that takes PUT. Each arrives whole; arriving twice changes nothing."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from edged.config import ExportConfig
from edged.errors import ConfigError, Unavailable
from edged.files import sync
from edged.remote import Answer, Dial, Http, Peer, read_secret, server_context

NEW = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}
"""Headers of what must not be there yet."""
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


class WebTarget:
    """An address whose server takes PUT and knows `If-None-Match: *`."""

    def __init__(self, config: ExportConfig, dial: Dial | None = None) -> None:
        parts = urlsplit(config.to or "")
        self._path, self._where = parts.path.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        self._allowed: dict[str, str] = {}
        if config.token_file is not None:
            self._allowed["Authorization"] = f"Bearer {_token(config.token_file)}"
        context = server_context("export.ca_file", config.ca_file) if parts.scheme == "https" else None
        port = parts.port or (443 if context else 80)
        peer = Peer("server", parts.hostname or "", port, "export.to", "export.to", "export.ca_file")
        self._http = Http(peer, context, dial)

    def put(self, relative: str, source: Path) -> None:
        path, data = f"{self._path}/{quote(relative, safe='/=')}", source.read_bytes()
        status = self._ask("PUT", path, data, {**NEW, **self._allowed}).status
        if status == ALREADY_THERE:
            there = self._ask("HEAD", path, None, self._allowed)
            if there.status in MADE and there.length not in (None, len(data)):
                raise Unavailable(
                    f"{self._where}{path}: holds {there.length} bytes instead of {len(data)}; delete it there"
                )
        elif status not in MADE:
            why = REMEDIES.get(status, "look at the server's log")
            raise Unavailable(f"{self._where}{path}: the server answers {status}; {why}. It is tried again")

    def _ask(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            return self._http.ask(method, path, data, headers, patient=True)
        except Unavailable as error:
            raise Unavailable(f"{error}; it is tried again") from None


def target_of(config: ExportConfig) -> Target:
    """Of `export.to`. Raise Unavailable where a folder is missing, ConfigError where a token or certificate is."""
    return WebTarget(config) if config.is_web else FolderTarget(Path(config.to or ""))


def _token(path: Path) -> str:
    token = (read_secret("export", "token_file", path, "token") or "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"key export.token_file = '{path}': holds no token; it must be one line")
    return token
