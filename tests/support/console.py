"""Runs the real console as a process, and asks it as a browser or a program does."""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.toml import dump_toml
from support.mosquitto import PATIENCE_S, free_port, until

PASSWORD = "correct horse battery"  # noqa: S105
VIEWER_PASSWORD = "only looking around"  # noqa: S105


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


@dataclass
class Browser:
    """Keeps the cookie, and sends forms with the token of the page it saw last, as browsers do."""

    port: int
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    trusts: ssl.SSLContext | None = None
    """For https: the certificates that are believed; None: plain http."""

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """One request. A header that is None is left out."""
        sent = {"Host": f"127.0.0.1:{self.port}", **self.headers, **(headers or {})}
        if self.cookie and "Cookie" not in sent:
            sent["Cookie"] = self.cookie
        connection = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE_S, context=self.trusts)
            if self.trusts
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        )
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()
        if "set-cookie" in answer.headers:
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookie = f"{name}={value}" if value.strip('"') else ""
        if match := re.search(rb'name="csrf" value="([^"]+)"', answer.body):
            self.csrf = match[1].decode()
        return answer

    def get(self, path: str = "/", **headers: str | None) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, fields: Mapping[str, str] | None = None, **headers: str | None) -> Answer:
        sent = {"csrf": self.csrf, **(fields or {})}
        usual = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, urllib.parse.urlencode(sent).encode(), usual | more)

    def log_in(self, password: str = PASSWORD, role: str = "admin") -> "Browser":
        answer = self.post("/login", {"name": role, "password": password})
        assert answer.status == 303, answer.text
        self.get("/")
        return self


class Console:
    """`edged console` in a folder of its own, with a database that a test, or a daemon, writes."""

    def __init__(self, folder: Path, tables: Mapping[str, Any] | None = None, config: Path | None = None) -> None:
        """`tables`: what the config says beside [store] and [console]; or `config`, a file that says all but [console]."""
        self.folder = folder
        self.port = free_port()
        self.database = folder / "edged.db"
        self.config = folder / "edged.toml"
        self.own = folder / "console"
        given = dict(tables or {"camera": {"door": {"source": "file:///nothing.mp4", "name": "Main door"}}})
        console = {"port": self.port, "folder": str(self.own), **given.pop("console", {})}
        if config is None:
            self.config.write_text(dump_toml({"store": {"path": str(self.database)}, **given, "console": console}))
        else:
            self.config = config
            config.write_text(config.read_text() + dump_toml({"console": console}))
        self.cert = Path(console.get("cert_file", self.own / "console.pem")) if console.get("tls") else None
        self._log = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop()

    def start(self, *arguments: str) -> "Console":
        """Return when it answers."""
        command = [sys.executable, "-m", "edged", "console", "--config", str(self.config), *arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, stdout=subprocess.PIPE, env=os.environ)
        if "--once" in arguments:
            assert self._process.stdout is not None
            self.address = self._process.stdout.readline().decode().strip()
        assert until(self.answers), self.log
        return self

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return self.browser().get("/claim").status in (200, 303)
        except OSError:
            return False

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(PATIENCE_S)
        finally:
            self._process.kill()
            if self._process.stdout is not None:
                self._process.stdout.close()
        self._process = None
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def state(self) -> Any:
        return json.loads((self.own / "access.json").read_text())

    def browser(self) -> Browser:
        """One that believes the console's own certificate, where that has one, and no other."""
        return Browser(self.port, trusts=ssl.create_default_context(cafile=self.cert) if self.cert else None)

    def claimed(self) -> Browser:
        """A browser that has claimed the device, and is logged in."""
        browser = self.browser()
        fields = {"code": self.state["code"], "password": PASSWORD, "again": PASSWORD}
        answer = browser.post("/claim", fields)
        assert answer.status == 303, answer.text
        browser.get("/")
        return browser
