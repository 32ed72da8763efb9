"""A whole household in a sealed network: the daemon with its broker and cameras, and every verb once; what it did is told.

`python -m support.household FOLDER SECONDS`, run by `support.sealed.command`. In FOLDER: `state` (the database), `out` (what
verbs were told to write), `home`, `tmp` and `cwd` (which must stay empty), `said` (what each verb printed), `trace`,
`record.json`.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import cv2

from edged.demo.scene import make_portrait
from support import written
from support.cameras import TEST_PICTURE, RtspServer, children, rtsp_server_is_there
from support.daemon import Daemon, looped, write_clip
from support.mosquitto import Mosquitto, Subscriber, free_port, make_certificates, until
from support.receivers import MailServer, Receiver
from support.sealed import Network

BROKER_NAME, CAMERA_NAME, RECEIVER_NAME = "broker.test", "camera.test", "receiver.test"
BROKER = ("owner-of-the-broker", "pass/of#the broker")
CAMERA = ("owner-of-the-camera", "pass-of-the-camera")
IN_THE_SOURCE = ("owner-in-a-source", "pass-in-a-source")
MAIL = ("owner-of-the-mailbox", "pass-of-the-mailbox")
HOOK = ("secret-of-the-webhook",)
CONSOLE = ("words-that-open-the-console",)
SECRETS = tuple(secret for pair in (BROKER, CAMERA, IN_THE_SOURCE, MAIL, HOOK, CONSOLE) for secret in pair)
DEMO = "demo"
CONFIG = "--config"


def verbs(folder: Path, picture: Path, clip: Path, config: Path) -> list[list[str]]:
    """What is run beside the daemon."""
    out, named = folder / "out", [CONFIG, str(config)]
    return [
        ["analyze", str(picture), "--json", *named],
        ["analyze", str(picture), str(clip), "--out", str(out / "analyzed"), "--only", "mask", *named],
        ["bench", "--frames", "5", *named],
        ["cameras"],
        ["claim", *named],
        ["passwd", *named],
        ["claim", *named],
        ["completion", "bash"],
        ["config", "check", *named],
        ["config", "show", *named],
        ["config", "schema"],
        ["db", "backup", "--out", str(out / "copy.db"), *named],
        ["db", "check", *named],
        ["doctor", *named],
        ["engines", "list", *named],
        ["engines", "verify"],
        ["engines", "path"],
        ["engines", "build", *named],
        ["engines", "bench", "mask", *named],
        ["events", *named],
        ["export", "--to", str(out / "export"), *named],
        ["fleet", "simulate", "--devices", "2", "--busy", "0.05", "--to", str(out / "fleet")],
        ["fleet", "compact", "yesterday", "--from", str(out / "fleet")],
        ["fleet", "report", "yesterday", "--from", str(out / "fleet"), "--out", str(out / "fleet.html")],
        ["outputs", "list", *named],
        ["outputs", "test", "no-such-output", *named],
        ["outputs", "safe", *named],
        ["report", "today", "--format", "json", *named],
        ["report", "today", "--mail", *named],
        ["report", "today", "--out", str(out / "report.html"), *named],
        ["schema", "mqtt"],
        ["selftest", *named],
        ["status", "--json", *named],
        ["wear-mask", str(picture), "--mask", "1", "--out", str(out / "masked.png"), *named],
        ["config", "apply", *named],
    ]


def afterwards(folder: Path, config: Path) -> list[list[str]]:
    """What is run once the daemon has stopped."""
    return [
        ["db", "prune", CONFIG, str(config)],
        [DEMO, "--seconds", "4", "--report", str(folder / "out" / "demo.html"), "--week", str(folder / "out" / "week")],
    ]


class Household:
    def __init__(self, folder: Path) -> None:
        for name in ("home", "tmp", "cwd", "out", "out/export", "said", "trace", "secrets", "in"):
            (folder / name).mkdir()
        self.folder = folder
        self.network = Network(folder, {BROKER_NAME, CAMERA_NAME, RECEIVER_NAME})
        self.codes: dict[str, int] = {}
        self.core_limits: set[str] = set()
        self.traces = written.why_not() is None
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        # As in the units: what pip installs is compiled already.
        self._environment |= {"HOME": str(folder / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
        self._environment |= {"TMPDIR": str(folder / "tmp")}
        os.chdir(folder / "cwd")
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        self._picture, self._clip = folder / "in" / "face.png", folder / "in" / "clip.mp4"
        cv2.imwrite(str(self._picture), make_portrait())
        write_clip(self._clip)

    def live(self, seconds: float) -> None:
        """The daemon for `seconds` at least, beside every verb, and then what wants it gone."""
        with ExitStack() as running:
            broker = running.enter_context(Mosquitto(self.folder / "broker", users=dict([BROKER])))
            login = ("-u", BROKER[0], "-P", BROKER[1])
            self.subscriber = running.enter_context(Subscriber(broker.port, "#", *login))
            cameras, self.ports = self._cameras(running), {broker.port}
            notified = self._notified(running)
            daemon = Daemon(
                self.folder / "daemon", {}, extra=cameras + self._mqtt(broker.port) + notified + self._console(),
                prefix=self._trace("run"), environment=self._environment,
            )  # fmt: skip
            daemon.database = self.folder / "state" / "edged.db"
            text = daemon.config.read_text().replace(str(self.folder / "daemon" / "store"), str(self.folder / "state"))
            daemon.config.write_text(text)
            running.enter_context(daemon)
            self._run_beside(daemon, seconds)
            for arguments in afterwards(self.folder, daemon.config):
                self._run(arguments)

    def _run_beside(self, daemon: Daemon, seconds: float) -> None:
        self.network.phase = "run"
        daemon.start()
        assert daemon.serves(120), daemon.log
        until_s = time.monotonic() + seconds
        assert until(lambda: daemon.count("SELECT count(*) FROM encounters") > 2, 120), daemon.log
        for arguments in verbs(self.folder, self._picture, self._clip, daemon.config):
            self._run(arguments)
        self._serve_console(daemon)
        for process in (daemon.pid, *children(daemon.pid)):
            limits = Path(f"/proc/{process}/limits").read_text().splitlines()
            self.core_limits |= {
                " ".join(line.split()[4:6]) for line in limits if line.startswith("Max core file size")
            }
            self.core_limits.add(Path(f"/proc/{process}/coredump_filter").read_text().strip())
        time.sleep(max(0.0, until_s - time.monotonic()))
        assert until(lambda: daemon.status().get("outbox") == 0), daemon.log
        self.codes["run"] = daemon.stop()

    def _cameras(self, running: ExitStack) -> str:
        """A door, a cab, a network camera that shows something where there is a server for it, and one that is not there."""
        login = self.folder / "secrets" / "camera"
        login.write_text(":".join(CAMERA) + "\n")
        login.chmod(0o600)
        self.camera_ports = {free_port()}
        if rtsp_server_is_there():
            server = running.enter_context(RtspServer(credentials=":".join(CAMERA)))
            self.camera_ports.add(server.port)
        shown, gone = max(self.camera_ports), min(self.camera_ports)
        sources = {
            "door": (looped(self._clip), ""),
            "cab": (looped(self._clip), 'profile = "driver"'),
            "yard": (f"rtsp://{CAMERA_NAME}:{shown}/door", f"fps = 1\ncredentials_file = {json.dumps(str(login))}"),
            "gone": (f"rtsp://{':'.join(IN_THE_SOURCE)}@{CAMERA_NAME}:{gone}/door", ""),
        }
        if shutil.which("gst-launch-1.0"):
            sources["hall"] = (TEST_PICTURE, "fps = 1")
        return "\n".join(
            f"[camera.{name}]\nsource = {json.dumps(source)}\n{more}" for name, (source, more) in sources.items()
        )

    def _secret(self, name: str, text: str) -> str:
        """The path of a file with a secret, as TOML."""
        file = self.folder / "secrets" / name
        file.write_text(text + "\n")
        file.chmod(0o600)
        return json.dumps(str(file))

    def _notified(self, running: ExitStack) -> str:
        """A webhook's receiver and a mail server, which take alerts and reports."""
        certificates = make_certificates(self.folder / "certificates")
        self.receiver = running.enter_context(Receiver())
        self.mails = running.enter_context(MailServer(certificates, *MAIL))
        self.ports |= {self.receiver.port, self.mails.port}
        return (
            f'\n[webhook]\nurl = "http://{RECEIVER_NAME}:{self.receiver.port}/"\nallow_http = true\n'
            f"secret_file = {self._secret('webhook', HOOK[0])}\n"
            f'\n[mail]\nhost = "127.0.0.1"\nport = {self.mails.port}\nusername = {json.dumps(MAIL[0])}\n'
            f"password_file = {self._secret('mail', MAIL[1])}\nca_file = {json.dumps(str(certificates.ca))}\n"
            'sender = "edged@site.example"\nto = ["manager@site.example"]\nalerts = true\n'
        )

    def _console(self) -> str:
        self.console_port = free_port()
        self.ports |= {self.console_port}
        folder = json.dumps(str(self.folder / "state" / "console"))
        return f"\n[console]\nport = {self.console_port}\nfolder = {folder}\n"

    def _serve_console(self, daemon: Daemon) -> None:
        """The console, until it has given one page."""
        label = f"{len(self.codes):02} console"
        self.network.phase = label
        command = [*self._trace(label), sys.executable, "-m", "edged", "console", CONFIG, str(daemon.config)]
        with (
            (self.folder / "said" / label).open("wb") as said,
            subprocess.Popen(command, stdout=said, stderr=said, env=self._environment) as served,
        ):
            assert until(self._console_answers, 120)
            for process in children(served.pid) or [served.pid]:  # a tracer does not hand the signal on
                os.kill(process, signal.SIGTERM)
            self.codes[label] = served.wait(60)

    def _console_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.console_port}/login", timeout=30) as page:
                return page.status == 200
        except OSError:
            return False

    def _mqtt(self, port: int) -> str:
        return (
            f'\n[mqtt]\nhost = "{BROKER_NAME}"\nport = {port}\n'
            f"username = {json.dumps(BROKER[0])}\npassword_file = {self._secret('broker', BROKER[1])}\n"
        )

    def _trace(self, label: str) -> list[str]:
        return written.traced(self.folder / "trace" / label) if self.traces else []

    def _run(self, arguments: list[str]) -> None:
        """One verb; what it said goes to a file of its own."""
        label = " ".join(word for word in arguments if not word.startswith("/"))
        label = f"{len(self.codes):02} {label}"
        self.network.phase = label
        command = [*self._trace(label), sys.executable, "-m", "edged", *arguments]
        done = subprocess.run(
            command,
            input=f"{CONSOLE[0]}\n".encode(),
            capture_output=True,
            timeout=600,
            check=False,
            env=self._environment,
        )
        (self.folder / "said" / label).write_bytes(done.stdout + done.stderr)
        self.codes[label] = done.returncode

    def record(self) -> None:
        """Write down what was seen."""
        labels = list(self.codes) if self.traces else []
        record = {
            "codes": self.codes,
            "sent": sorted(self.network.sent),
            "asked": sorted(self.network.asked),
            "ports": sorted(self.ports | self.camera_ports),
            "written": {label: sorted(written.written(self.folder / "trace" / label)) for label in labels},
            "core_limits": sorted(self.core_limits),
            "notified": [len(self.receiver.posts), len(self.mails.mails)],
            "messages": [[message.topic, message.payload] for message in self.subscriber.received],
        }
        (self.folder / "record.json").write_text(json.dumps(record, indent=1))


def main() -> None:
    household = Household(Path(sys.argv[1]))
    household.live(float(sys.argv[2]))
    household.record()


if __name__ == "__main__":
    main()
