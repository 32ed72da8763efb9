"""Where exported files go: a folder, or an address that takes PUT. Each arrives whole; arriving twice changes nothing."""

import configparser
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from edged.config import ExportConfig
from edged.config.export import S3, check_place, is_s3
from edged.connections import Answer, Dial, Http, Peer, read_secret, server_context
from edged.errors import ConfigError, Failed, Unavailable
from edged.files import sync

NEW = {"If-None-Match": "*", "Content-Type": "application/octet-stream"}
"""Headers of what must not be there yet."""
MADE, ALREADY_THERE, UNREADABLE = (200, 201, 204), 412, (401, 403, 405)
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

S3_SAFE = "/~"
"""What stands unencoded in an address, besides letters, digits and "_.-": the server encodes all else when it checks."""
S3_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_KEYS = "it does not know these keys, or they are wrong: see export.token_file"
_REGION = "the bucket is in another region: write that one into export.token_file"
S3_REMEDIES = {
    "AccessDenied": "these keys may not write there: see the bucket's policy (s3:PutObject)",
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _KEYS,
    "NoSuchBucket": "there is no such bucket: see export.to",
    "PermanentRedirect": _REGION,
    "QuotaExceeded": "the bucket is full",
    "RequestTimeTooSkewed": "this device's clock is wrong: look at timedatectl",
    "SignatureDoesNotMatch": _KEYS,
}
S3_FILE = (
    "the section [default], and in it aws_access_key_id, aws_secret_access_key, region, and endpoint_url where it is not"
    " Amazon's"
)


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


Sign = Callable[[str, str, bytes | None, Mapping[str, str]], Mapping[str, str]]
"""The headers of a request with whatever proves who asks: of its method, its whole address, its body and its headers."""


class WebTarget:
    """An address whose server takes PUT and knows `If-None-Match: *`."""

    def __init__(self, config: ExportConfig, dial: Dial | None = None) -> None:
        """Raise ConfigError where the token, the certificate or the keys cannot be used, Failed for S3 without botocore."""
        address, self._sign = _s3(config) if is_s3(config.to) else (config.to or "", _bearer(config))
        self._safe = S3_SAFE if is_s3(config.to) else "/="
        parts = urlsplit(address)
        self._path, self._where = parts.path.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        context = server_context("export.ca_file", config.ca_file) if parts.scheme == "https" else None
        port = parts.port or (443 if context else 80)
        peer = Peer("server", parts.hostname or "", port, "export.to", "export.to", "export.ca_file")
        self._http = Http(peer, context, dial)

    def put(self, relative: str, source: Path) -> None:
        path, data = f"{self._path}/{quote(relative, self._safe)}", source.read_bytes()
        answer = self._ask("PUT", path, data, NEW)
        if answer.status == ALREADY_THERE:
            self._require_whole(path, len(data))
        elif answer.status not in MADE:
            code = match[1] if (match := S3_CODE.search(answer.said)) else ""
            why = S3_REMEDIES.get(code) or REMEDIES.get(answer.status, "read the server's log")
            said = f"{answer.status} {code}".strip()
            raise Unavailable(f"{self._where}{path}: the server answers {said}; {why}. It is tried again")

    def _require_whole(self, path: str, length: int) -> None:
        """Raise Unavailable where what the server says is there is not. Who may write but not read cannot know."""
        there = self._ask("HEAD", path, None, {})
        if there.status in MADE and there.length not in (None, length):
            raise Unavailable(f"{self._where}{path}: holds {there.length} bytes instead of {length}; delete it there")
        if there.status not in (*MADE, *UNREADABLE):
            raise Unavailable(
                f"{self._where}{path}: the server says that it is there, and answers {there.status} when it is asked for;"
                " read the server's log. It is tried again"
            )

    def _ask(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            signed = self._sign(method, f"{self._where}{path}", data, headers)
            return self._http.ask(method, path, data, signed, heed=True, patient=True)
        except Unavailable as error:
            raise Unavailable(f"{error}; it is tried again") from None


def target_of(config: ExportConfig) -> Target:
    """Of `export.to`. Raise Unavailable where a folder is missing; else as WebTarget does."""
    return WebTarget(config) if config.is_web else FolderTarget(Path(config.to or ""))


def _bearer(config: ExportConfig) -> Sign:
    if config.token_file is None:
        return lambda method, address, data, headers: headers
    allowed = {"Authorization": f"Bearer {_token(config.token_file)}"}
    return lambda method, address, data, headers: {**headers, **allowed}


def _s3(config: ExportConfig) -> tuple[str, Sign]:
    """The bucket's address, path-style, and who signs for it. Raise ConfigError, and Failed without botocore."""
    try:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
    except ImportError:
        raise Failed("S3 needs botocore: install it with pip install 'edged[fleet]'") from None
    where, text = "export.token_file", read_secret("export", "token_file", config.token_file, "token")
    if text is None:
        raise ConfigError(f"an s3:// address needs keys: set export.token_file to a file with {S3_FILE}")
    parsed = configparser.ConfigParser(interpolation=None)
    try:
        parsed.read_string(text)
        keys = parsed["default"]
        access, secret, region = keys["aws_access_key_id"], keys["aws_secret_access_key"], keys["region"]
        server = keys.get("endpoint_url", f"https://s3.{region}.amazonaws.com").rstrip("/")
        check_place(server)
    except (configparser.Error, KeyError):
        raise ConfigError(f"{where}: cannot be read; it needs {S3_FILE}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: endpoint_url {error}") from None
    signer = S3SigV4Auth(Credentials(access, secret, keys.get("aws_session_token")), "s3", region)

    def sign(method: str, address: str, data: bytes | None, headers: Mapping[str, str]) -> Mapping[str, str]:
        request = AWSRequest(method, address, {**headers, "Host": _host(address)}, data or b"")
        request.context["payload_signing_enabled"] = True
        signer.add_auth(request)
        return dict(request.headers.items())

    return f"{server}/{quote((config.to or '').removeprefix(S3), S3_SAFE)}", sign


def _host(address: str) -> str:
    """The Host header: in small letters, with the port where it is not the scheme's own."""
    parts = urlsplit(address)
    name = parts.hostname or ""
    host = f"[{name}]" if ":" in name else name
    return host if parts.port in (None, {"https": 443, "http": 80}[parts.scheme]) else f"{host}:{parts.port}"


def _token(path: Path) -> str:
    token = (read_secret("export", "token_file", path, "token") or "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"key export.token_file = '{path}': holds no token; it must be one line")
    return token
