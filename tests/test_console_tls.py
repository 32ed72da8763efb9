"""The console for other machines: over TLS only, with its own certificate or the owner's, whatever a clock says."""

import asyncio
import contextlib
import errno
import hashlib
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.console import PASSWORD, Browser, Console
from support.mosquitto import until

from edged.config import ConsoleConfig
from edged.console.certificate import Served, certificate, ends_soon, fingerprint
from edged.console.doorkeeper import MOST_WAITING, Doorkeeper
from edged.errors import Unavailable

LAN = {"listen": "0.0.0.0", "tls": True}  # noqa: S104
CAMERA = {"camera": {"door": {"source": "csi://0", "name": "Main door"}}}


def openssl(*arguments: object) -> str:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def issue(cert: Path, key: Path, days: int = 90) -> None:
    """A certificate as an owner brings it."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", days, "-subj",
            "/CN=entrance", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)  # fmt: skip


def shown_to(console: Console) -> str:
    """The fingerprint of the certificate that a new connection gets."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", console.port), timeout=60) as plain, blind.wrap_socket(plain) as tls:
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest().upper()


def test_other_machines_come_in_over_tls_alone_with_the_certificate_whose_fingerprint_is_told(tmp_path: Path) -> None:
    with Console(tmp_path, {**CAMERA, "console": LAN}) as console:
        console.start()
        command = [sys.executable, "-m", "edged", "claim", "--config", str(console.config)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout
        assert f"address: https://{socket.gethostname()}:{console.port}/" in told
        assert shown_to(console) in told.replace(":", "")
        browser = console.claimed()  # it believes that certificate only, and checks the name
        answer = console.browser().post("/login", {"name": "admin", "password": PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-edged=")
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        page = browser.get("/")
        assert page.status == 200
        assert "strict-transport-security" not in page.headers
        with pytest.raises(ssl.SSLCertVerificationError):
            Browser(console.port, trusts=ssl.create_default_context()).get("/")
        plain = Browser(console.port).get("/", Cookie=browser.cookie)
        assert (plain.status, "Write <b>https://</b> before it" in plain.text) == (400, True)
        assert "Main door" not in plain.text
        who_says_nothing = [
            socket.create_connection(("127.0.0.1", console.port), timeout=60) for _ in range(MOST_WAITING + 50)
        ]
        assert browser.get("/").status == 200
        assert who_says_nothing[0].recv(1) == b"", "who has waited longest makes room"
        with socket.create_connection(("127.0.0.1", console.port), timeout=60) as broken:
            broken.sendall(b"\x16\x03\x01\x00\x05hello")
            while broken.recv(100):
                pass
        for client in who_says_nothing:
            client.close()
        assert browser.get("/").status == 200
        assert "Traceback" not in console.log


def test_the_owners_certificate_is_used_and_taken_up_anew_when_it_is_renewed(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(cert, key, days=5)
    own = {**LAN, "cert_file": str(cert), "key_file": str(key)}
    with Console(tmp_path, {**CAMERA, "console": own}) as console:
        browser = console.start().claimed()
        assert browser.get("/").status == 200
        assert "ends within 21 days; renew it" in console.log
        assert not ends_soon(own_certificate(tmp_path))
        first = shown_to(console)
        issue(cert, key)
        assert until(lambda: shown_to(console) != first)
        trusting = Browser(console.port, browser.cookie, trusts=ssl.create_default_context(cafile=cert))
        assert trusting.get("/").status == 200, "nobody has to log in again"


def test_a_renewed_certificate_serves_new_connections_and_half_a_pair_changes_nothing(
    tmp_path: Path, caplog: Any
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(cert, key)
    served, first = Served(cert, key), cert.read_text()
    assert given_by(served) == first
    other = tmp_path / "other.pem"
    issue(cert, other)
    served.renew()
    assert "stays in use" in caplog.text
    assert given_by(served) == first
    other.replace(key)
    served.renew()
    assert given_by(served) == cert.read_text() != first
    key.unlink()
    served.renew()
    assert given_by(served) == cert.read_text()
    with pytest.raises(Unavailable, match="is no certificate that fits"):
        Served(cert, key)


def test_a_renewed_key_that_may_be_read_later_is_taken_up_then(tmp_path: Path) -> None:
    class Plain(Served):
        """As a process that is not root."""

        def _loaded(self) -> ssl.SSLContext:
            if not self._key.stat().st_mode & 0o444:
                raise Unavailable("permission denied")
            return super()._loaded()

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(cert, key)
    served, first = Plain(cert, key), cert.read_text()
    issue(cert, key)
    key.chmod(0)
    served.renew()
    assert given_by(served) == first
    key.chmod(0o640)
    served.renew()
    assert given_by(served) == cert.read_text() != first


def given_by(served: Served) -> str:
    """The certificate, as PEM, that a connection gets."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    server = served.context.wrap_bio(incoming[0], outgoing[0], server_side=True)
    client = blind.wrap_bio(incoming[1], outgoing[1])
    for _ in range(6):
        for side, sent, to in ((client, outgoing[1], incoming[0]), (server, outgoing[0], incoming[1])):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            to.write(sent.read())
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True) or b"")


def own_certificate(folder: Path) -> Path:
    made = certificate(ConsoleConfig(tls=True, folder=folder))
    assert made is not None
    return made[0]


def test_the_consoles_own_certificate_does_not_depend_on_a_clock_that_may_be_wrong(tmp_path: Path) -> None:
    cert = own_certificate(tmp_path)
    dates = openssl("x509", "-in", cert, "-noout", "-dates")
    assert dates == "notBefore=Jan  1 00:00:00 2019 GMT\nnotAfter=Dec 31 23:59:59 2049 GMT\n"
    key = tmp_path / "console.key"
    assert key.stat().st_mode & 0o077 == 0
    made = cert.read_bytes(), key.read_bytes()
    assert (own_certificate(tmp_path).read_bytes(), key.read_bytes()) == made, "it is made once"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["console.key", "console.pem"]


@pytest.mark.parametrize("name", ["console.pem", "console.key"])
def test_the_consoles_own_certificate_is_made_anew_where_it_was_left_empty(tmp_path: Path, name: str) -> None:
    cert = own_certificate(tmp_path)
    (tmp_path / name).write_bytes(b"")
    Served(own_certificate(tmp_path), tmp_path / "console.key")
    assert (cert.stat().st_mode | (tmp_path / "console.key").stat().st_mode) & 0o077 == 0


def test_another_name_or_address_of_the_device_makes_another_own_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    addresses = ["IP:192.0.2.7", "IP:2001:db8::1"]
    monkeypatch.setattr("edged.console.certificate._addresses", lambda: addresses)
    first = own_certificate(tmp_path).read_bytes()
    assert own_certificate(tmp_path).read_bytes() == first, "what has not changed keeps its fingerprint"
    addresses.remove("IP:192.0.2.7")
    assert own_certificate(tmp_path).read_bytes() == first, "an address that is gone for a while needs no new one"
    addresses.append("IP:198.51.100.9")
    cert = own_certificate(tmp_path)
    assert "IP Address:198.51.100.9" in openssl("x509", "-in", cert, "-noout", "-ext", "subjectAltName")
    assert f"a new certificate was made, SHA-256 {fingerprint(cert)}" in caplog.text
    monkeypatch.setattr("socket.gethostname", lambda: "renamed")
    assert "DNS:renamed.local" in openssl("x509", "-in", own_certificate(tmp_path), "-noout", "-ext", "subjectAltName")
    owners, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(owners, key)
    brought = owners.read_bytes()
    certificate(ConsoleConfig(tls=True, folder=tmp_path, cert_file=owners, key_file=key))
    assert owners.read_bytes() == brought, "the owner's is never made"


class _NoDescriptor(asyncio.Transport):
    """Of a connection that came when no further descriptor was to be had."""

    ended = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default

    def dup(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def pause_reading(self) -> None:
        """Nothing is read."""

    def abort(self) -> None:
        self.ended = True


def test_a_client_for_whom_no_descriptor_is_left_is_turned_away_and_not_held() -> None:
    async def come() -> tuple[bool, int]:
        waiting: dict[Doorkeeper, None] = {}
        transport = _NoDescriptor()
        keeper = Doorkeeper(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), asyncio.Protocol, waiting)
        keeper.connection_made(transport)
        keeper.connection_lost(None)
        return transport.ended, len(waiting)

    assert asyncio.run(come()) == (True, 0)
