"""The console's certificate: the owner's, or one that it makes for itself with OpenSSL."""

import hashlib
import re
import socket
import ssl
import subprocess
from pathlib import Path

from edged.config import ConsoleConfig
from edged.errors import Unavailable

DAYS = 3650
OPENSSL_S = 60.0


def own_files(config: ConsoleConfig) -> tuple[Path, Path]:
    """Where the certificate and its key are, or will be."""
    if config.cert_file and config.key_file:
        return config.cert_file, config.key_file
    return config.folder / "console.pem", config.folder / "console.key"


def certificate(config: ConsoleConfig) -> tuple[Path, Path] | None:
    """Certificate and key to serve with, made where there are none; None without TLS. Raise Unavailable when one is missing."""
    if not config.tls:
        return None
    cert, key = own_files(config)
    if config.cert_file is None and not (cert.exists() and key.exists()):
        _make(cert, key)
    for name, file in (("cert_file", cert), ("key_file", key)):
        if not file.is_file():
            raise Unavailable(f"key console.{name}: {file} is not there, or not readable for the console's user")
    return cert, key


def fingerprint(cert: Path) -> str | None:
    """SHA-256 of the certificate, as browsers show it; None when it cannot be read."""
    try:
        der = ssl.PEM_cert_to_DER_cert(re.sub(r"(?s)(-----END CERTIFICATE-----).*", r"\1", cert.read_text()))
    except (OSError, ValueError):
        return None
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _make(cert: Path, key: Path) -> None:
    """A certificate of its own for all names that browsers in the same network may use."""
    host = socket.gethostname().split(".")[0] or "edged"
    names = ["DNS:localhost", f"DNS:{host}", f"DNS:{host}.local", "IP:127.0.0.1", *_addresses()]
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
        *("-days", str(DAYS), "-subj", f"/CN={host}", "-addext", f"subjectAltName={','.join(names)}"),
        *("-addext", "extendedKeyUsage=serverAuth", "-keyout", str(key), "-out", str(cert)),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=OPENSSL_S, umask=0o077)
    except FileNotFoundError:
        raise Unavailable(
            "openssl is not installed, which makes the certificate: `apt install openssl`, or set cert_file and key_file in"
            " [console]"
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise Unavailable(
            f"{cert}: openssl made no certificate ({said.decode(errors='replace').splitlines()[-1]})"
        ) from None


def _addresses() -> list[str]:
    """This device's addresses, as far as its own name leads to them; nothing is sent."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, proto=socket.IPPROTO_TCP)}
    except OSError:
        return []
    return [f"IP:{address}" for address in sorted(found) if "%" not in address and address != "127.0.0.1"]
