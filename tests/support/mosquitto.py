"""Starts a real mosquitto on a free loopback port, and listens to it with its own client."""

import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType

import pytest

from support.payloads import check_message

BROKER = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(
    BROKER is None or shutil.which("mosquitto_sub") is None or shutil.which("mosquitto_passwd") is None,
    reason="mosquitto, mosquitto_sub and mosquitto_passwd are not installed",
)


PATIENCE_S = 60.0
"""How long a test waits for what must come. It says only when to give up: how busy the machine is says nothing about the code."""

LOWEST_PORT, PORTS_OF_A_PROCESS, MOST_PROCESSES = 10_000, 1_000, 22
"""Below the ports that the kernel gives to whoever asks for any one."""


@cache
def _own_ports() -> Iterator[int]:
    """Ports that no other process of any test run on this machine takes, for as long as this one lives."""
    for number in range(MOST_PROCESSES):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0edged-tests-ports-{number}")  # a name that goes with its process, whatever ends that
        except OSError:
            mark.close()
            continue
        _marks.append(mark)
        first, start = LOWEST_PORT + number * PORTS_OF_A_PROCESS, random.randrange(PORTS_OF_A_PROCESS)
        return (first + (start + count) % PORTS_OF_A_PROCESS for count in itertools.count())
    raise AssertionError(f"{MOST_PROCESSES} processes have ports for tests already")


_marks: list[socket.socket] = []


def free_port() -> int:
    """A port on which nobody listens, and which stays free while its server is away: none is given twice in a row."""
    for port in itertools.islice(_own_ports(), PORTS_OF_A_PROCESS):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")


LAST = "the-last/one"


def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> bool:
    """Wait until `condition` holds; whether it did in time.

    Asked ever less often, for asking costs: it makes a daemon answer, a database open, a log be read.
    """
    began = time.monotonic()
    while (waited_s := time.monotonic() - began) < timeout_s:
        if condition():
            return True
        time.sleep(min(max(waited_s / 20, 0.01), 0.1))
    return bool(condition())


@dataclass(frozen=True)
class Certificates:
    """A certificate authority, a broker's certificate for localhost, and a device's."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Sign everything with an authority made on the spot."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl(
        folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=CA", *usage
    )
    for name in ("server", "client"):
        (folder / f"{name}.ext").write_text(
            "authorityKeyIdentifier=keyid\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nkeyUsage=digitalSignature\n"
        )
        _openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext",
        )  # fmt: skip
    return Certificates(
        folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "client.pem", folder / "client.key"
    )


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)


class Mosquitto:
    """One broker with its own folder, port and settings; what it keeps survives `stop` and `start`."""

    def __init__(
        self,
        folder: Path,
        *,
        users: Mapping[str, str] | None = None,
        tls: Certificates | None = None,
        client_certificates: bool = False,
        settings: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            f"user {pwd.getpwuid(os.getuid()).pw_name}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 0",
            f"log_dest file {folder}/broker.log",
            *settings,
        ]
        if users:
            (folder / "passwords").touch(mode=0o600)
            for name, password in users.items():
                command = ["mosquitto_passwd", "-b", str(folder / "passwords"), name, password]
                subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
            lines.append(f"password_file {folder}/passwords")
        if tls:
            lines += [f"cafile {tls.ca}", f"certfile {tls.server}", f"keyfile {tls.server_key}"]
            lines.append(f"require_certificate {'true' if client_certificates else 'false'}")
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return (self._folder / "broker.log").read_text()

    def start(self) -> None:
        """Return when it accepts connections."""
        command = [str(BROKER), "-c", str(self._folder / "mosquitto.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert until(self._listens), "mosquitto did not start"

    def stop(self) -> None:
        """Shut down in order, keeping sessions and retained messages."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """As an overloaded machine does: the network stands, nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            self._process = None

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Received:
    topic: str
    payload: str
    qos: int
    retained: bool


class Subscriber:
    """mosquitto_sub, and all it has heard; it connects again by itself and misses nothing while the broker is away."""

    def __init__(self, port: int, topic: str = "#", *options: str) -> None:
        self.received: list[Received] = []
        command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-i",
            f"subscriber-{port}",
            "-c",
            "-q",
            "1",
        ]
        command += ["-t", topic, "-d", "-F", "=%r %q %t %p", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._subscribed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._subscribed.wait(PATIENCE_S):
            self._process.kill()
            raise AssertionError("mosquitto_sub did not subscribe")

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def payloads(self, topic: str) -> list[str]:
        """What arrived on `topic`, in order."""
        return [message.payload for message in list(self.received) if message.topic == topic]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("Subscribed"):
                    self._subscribed.set()
                elif line.startswith("="):
                    retained, qos, topic, payload = line[1:].rstrip("\n").split(" ", 3)
                    check_message(topic, payload)
                    self.received.append(Received(topic, payload, int(qos), retained == "1"))


def retained(port: int, pattern: str) -> set[str]:
    """The topics that the broker keeps a value of. It sends them in the order of subscription, so that the last one ends them,
    however busy the machine is.
    """
    publish(port, LAST, "1", "-r")
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", pattern, "-t", LAST]
    command += ["--retained-only", "-F", "%t", "-W", str(round(PATIENCE_S)), "-C", "1000"]
    to_come, topics = 2 if pattern == "#" else 1, set[str]()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        while to_come:
            topic = program.stdout.readline().strip()
            assert topic, "the broker did not send all within PATIENCE_S"
            to_come -= topic == LAST
            topics.add(topic)
        program.kill()
    return topics - {LAST}


def publish(port: int, topic: str, payload: str, *options: str) -> None:
    """Publish one message with mosquitto_pub."""
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", topic, *options]
    command += ["-m", payload] if payload else ["-n"]
    subprocess.run(command, check=True, timeout=PATIENCE_S, capture_output=True)
