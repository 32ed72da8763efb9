"""The console's certificate: the owner's, or one that it makes for itself with OpenSSL.

Its own is valid whatever a clock says that was not set when it was made: from 2019, before which browsers on some systems
demand that certificates live for two years at most, until the last day that every program can read. Its fingerprint stays as it
was compared until this device gets a name or an address that is not in it: then another one is made, since browsers refuse one
of other names. The owner's is never made, and is taken up anew when its files change. No answer has HSTS: there is
no plain page at any port, and a browser that remembers it lets nobody in when the owner goes back to the console's own.
"""

import hashlib
import logging
import re
import secrets
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edged.config import ConsoleConfig
from edged.errors import Unavailable
from edged.files import Stamp, replace, stamp_of
from edged.processes.program import run

log = logging.getLogger(__name__)

FROM, UNTIL = "20190101000000Z", "20491231235959Z"
OPENSSL_S = 60.0
ELSEWHERE = "192.0.2.1"
"""Any address beyond this network; this one is nobody's."""
SOON_S = 21 * 86_400
MAKING = """
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = {names}
extendedKeyUsage = serverAuth
basicConstraints = CA:FALSE
[req]
distinguished_name = any
"""


def own_files(config: ConsoleConfig) -> tuple[Path, Path]:
    """Where the certificate and its key are, or will be."""
    if config.cert_file and config.key_file:
        return config.cert_file, config.key_file
    return config.folder / "console.pem", config.folder / "console.key"


def certificate(config: ConsoleConfig) -> tuple[Path, Path] | None:
    """Certificate and key to serve with; None without TLS. Raise Unavailable when one is missing.

    The console's own are made where there are none, and anew where they are no pair, as when half of one was written, or lack
    a name that this device has now.
    """
    if not config.tls:
        return None
    cert, key = own_files(config)
    if config.cert_file is None and not (_is_pair(cert, key) and not missing_names(cert)):
        before = fingerprint(cert)
        try:
            _make(cert, key, _names())
        except OSError as error:
            raise Unavailable(f"{cert}: cannot be written ({error.strerror}); see console.folder") from None
        if before is not None:
            log.warning(
                "this device has another name or address: a new certificate was made, SHA-256 %s", fingerprint(cert)
            )
    for name, file in (("cert_file", cert), ("key_file", key)):
        if not file.is_file():
            raise Unavailable(f"key console.{name}: {file} is not there, or not readable for the console's user")
    return cert, key


def _is_pair(cert: Path, key: Path) -> bool:
    """Whether the two can be served with; True also where they are there and this process may not read them."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except PermissionError:
        return True
    except (OSError, ssl.SSLError):
        return False
    return True


def fingerprint(cert: Path) -> str | None:
    """SHA-256 of the certificate, as browsers show it; None when it cannot be read."""
    try:
        der = ssl.PEM_cert_to_DER_cert(re.sub(r"(?s)(-----END CERTIFICATE-----).*", r"\1", cert.read_text()))
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


class Served:
    """The certificate that new connections get. Thread-safe."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raise Unavailable, for people, when the two are no pair."""
        self._cert, self._key = cert, key
        self._stamp = self._stamp_now()
        self.context = self._loaded()
        """Another one after each renewal: one that is changed while it shakes hands would give half of a pair."""
        self._log_end()

    def renew(self) -> None:
        """Take up files that have changed; those that do not go together leave the certificate as it is. May wait for disks."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.context = self._loaded()
        except Unavailable as error:
            log.error("%s; the certificate before it stays in use", error)
            return
        log.info("%s was renewed and is in use", self._cert)
        self._log_end()

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert, self._key)
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(
                f"{self._cert}: is no certificate that fits {self._key} ({error}); see cert_file and key_file in [console]"
            ) from None
        return context

    def _stamp_now(self) -> list[Stamp | None]:
        """What tells whether a file has changed, or may be read now."""
        return [stamp_of(file) for file in (self._cert, self._key)]

    def _log_end(self) -> None:
        if ends_soon(self._cert):
            log.warning("%s has ended or ends within %d days; renew it", self._cert, SOON_S // 86_400)


def ends_soon(cert: Path) -> bool:
    """Whether it has ended, or does so soon, by this device's clock; False when nobody can tell."""
    command = ["openssl", "x509", "-checkend", str(SOON_S), "-noout", "-in", str(cert)]
    try:
        return run(command, OPENSSL_S).returncode == 1
    except OSError:
        return False
    except subprocess.TimeoutExpired:
        log.warning("%s: openssl has not said within %g s when it ends; see whether its disk answers", cert, OPENSSL_S)
        return False


def missing_names(cert: Path) -> list[str]:
    """Names and addresses of this device that the certificate is not for; none where it cannot be read.

    Addresses of IPv6 do not count: systems change theirs each day, and the fingerprint would change with them.
    """
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(cert)]
    try:
        done = run(command, OPENSSL_S)
    except OSError:
        return []
    except subprocess.TimeoutExpired:
        log.warning("%s: openssl has not listed its names within %g s; see whether its disk answers", cert, OPENSSL_S)
        return []
    if done.returncode:
        return []
    told = done.stdout.decode(errors="replace")
    known = {part.strip().replace("IP Address:", "IP:") for line in told.splitlines() for part in line.split(",")}
    return [name for name in _names() if name not in known and name.count(":") == 1]


def _names() -> list[str]:
    """All names that browsers in the same network may use, as OpenSSL's settings have them."""
    host = socket.gethostname().split(".")[0] or "edged"
    return list(dict.fromkeys(["DNS:localhost", f"DNS:{host}", f"DNS:{host}.local", "IP:127.0.0.1", *_addresses()]))


def _make(cert: Path, key: Path, names: Sequence[str]) -> None:
    """A certificate of its own for `names`."""
    host = socket.gethostname().split(".")[0] or "edged"
    with tempfile.TemporaryDirectory(dir=cert.parent) as folder:
        work = Path(folder)
        (work / "settings").write_text(MAKING.format(folder=folder, names=",".join(names)))
        (work / "index").write_text("")
        (work / "serial").write_text(f"{secrets.token_hex(8)}\n")
        settings = ("-config", str(work / "settings"))
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
        _openssl(cert, "req", *settings, "-new", *curve, "-subj", f"/CN={host}", "-keyout", str(work / "key"),
                 "-out", str(work / "request"))  # fmt: skip
        _openssl(cert, "ca", *settings, "-selfsign", "-batch", "-notext", "-startdate", FROM, "-enddate", UNTIL,
                 "-keyfile", str(work / "key"), "-in", str(work / "request"), "-out", str(work / "cert"))  # fmt: skip
        replace(key, (work / "key").read_bytes())
        replace(cert, (work / "cert").read_bytes())


def _openssl(cert: Path, *arguments: str) -> None:
    """Run it. Raise Unavailable, with what it said last and the remedy."""
    try:
        run(["openssl", *arguments], OPENSSL_S, umask=0o077).check_returncode()
    except FileNotFoundError:
        raise Unavailable(
            "openssl is not installed, which makes the certificate: `apt install openssl`, or set cert_file and key_file in"
            " [console]"
        ) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"{cert}: openssl has made no certificate within {OPENSSL_S:g} s; see whether the folder's disk answers, or set"
            " cert_file and key_file in [console]"
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise Unavailable(
            f"{cert}: openssl made no certificate ({said.decode(errors='replace').splitlines()[-1]}); let"
            " edged-console write the folder, or set cert_file and key_file in [console]"
        ) from None


def _addresses() -> list[str]:
    """This device's addresses: those that its own name leads to, and the one it would reach others from. Nothing is sent."""
    found = set[str]()
    with suppress(OSError):
        found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, proto=socket.IPPROTO_TCP)}
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((ELSEWHERE, 9))  # looks up the route alone
        found.add(str(way.getsockname()[0]))
    return [f"IP:{address}" for address in sorted(found) if "%" not in address and address != "127.0.0.1"]
