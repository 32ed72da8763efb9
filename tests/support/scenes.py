"""Short scenes played through the product as a config builds it, each told as a few facts that can be compared."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anyio
import cv2
import numpy as np
from click.testing import CliRunner
from paho.mqtt.client import Client
from report_days import MINUTE, encounter, span, store_reports, watched

from edged.assembly import Models, build_pipeline, load_models, model_names, tasks_of
from edged.backends.status import build_options
from edged.backends.worker import BackendWorker
from edged.capture.camera import CameraWorker
from edged.capture.feeds import capture_settings
from edged.capture.inbox import FrameInbox
from edged.capture.state import NOT_OPENED
from edged.cli import cli
from edged.config import Config
from edged.console.access import Access
from edged.console.app import build_app
from edged.console.certificate import certificate
from edged.console.server import address, open_socket
from edged.console.site import Site
from edged.daemon.app import App
from edged.daemon.runtime import Inference
from edged.deliver import alert_channels, report_channels, transports
from edged.deliver.mail import Mail
from edged.deliver.webhook import Webhook
from edged.doctor import _clock
from edged.errors import ConfigError, EdgedError, SourceLost
from edged.export import Exporter
from edged.host.clock import SystemClock, WatchedClock
from edged.inference import default_engines_dir, load_manifest
from edged.pipeline import Outcome, Pipeline
from edged.records import Message
from edged.report import build_report
from edged.selftest.golden import golden_pictures
from edged.store import Store, StoreReader
from edged.store.upkeep import Upkeep
from edged.toml import dump_toml
from edged.types import Detection, EyeReading, Face, Frame, Image, MaskScores, Track
from support.doubles import (
    AHEAD,
    BARE,
    OPEN,
    BoxLandmarks,
    ConstantEyes,
    ConstantJudge,
    ConstantPose,
    ScriptedDetector,
    sighting,
    square,
)
from support.mosquitto import PATIENCE_S, until
from support.payloads import own
from support.publishing import end
from support.receivers import alert
from support.scripted_broker import Peer, ScriptedBroker
from support.storing import HandClock, backup_is_over
from support.traces import Camera, Script

Facts = dict[str, Any]
DAY = date(2026, 6, 2)
WALL = cv2.resize(np.random.default_rng(1).integers(0, 256, (60, 100, 3), np.uint8), (400, 240))


def _facts(outcomes: Iterable[tuple[float, Outcome]]) -> Facts:
    """What was told: each step of an event as "phase state why-it-ended-or-was-held-back", with ! where it alerts; and more."""
    timed = list(outcomes)
    last = timed[-1][1].signals
    told = [event for _, outcome in timed for event in outcome.events]
    drowsiness = [one for _, outcome in timed for one in outcome.signals.drowsiness]
    return {
        "events": ", ".join(
            " ".join(filter(None, (e.phase, e.state, e.end_reason or e.details.get("held_back"), "!" * e.violation)))
            for e in told
        ),
        "kinds": {event.kind for event in told},
        "times": [round(event.time_s - timed[0][0], 1) for event in told],
        "state": last.masks[0].state.value if last.masks else None,
        "passages": len({e.key for _, outcome in timed for e in outcome.encounters}),
        "tracks": len({face.track.id for _, outcome in timed for face in outcome.faces}),
        "static": len(last.static),
        "level": drowsiness[-1].level if drowsiness else None,
        "score": drowsiness[-1].score if drowsiness else None,
        "perclos known": next((round(one.time_s - timed[0][0]) for one in drowsiness if one.perclos is not None), None),
        "yawns": drowsiness[-1].yawns if drowsiness else None,
        "nods": drowsiness[-1].nods if drowsiness else None,
    }


def _models(**doubles: Any) -> Models:
    parts = {"detector": ScriptedDetector([]), "judge": ConstantJudge(BARE), "engines": {}, "hashes": {}}
    readers = {"landmarks": BoxLandmarks(), "pose": ConstantPose(), "eyes": ConstantEyes()}
    return Models(**{**parts, **readers, **doubles})


def _pipeline(config: Config, **doubles: Any) -> Pipeline:
    return build_pipeline("door", config.camera["door"], config, _models(**doubles))


def _signal(line: Pipeline, frames: Iterable[tuple[float, Sequence[Face]]]) -> Facts:
    """Faces whose readings are given, through signals, events and encounters."""

    def outcomes() -> Iterator[tuple[float, Outcome]]:
        for time_s, faces in frames:
            signals = line.smoother.update(time_s, faces)
            events, encounters = line.events.update(time_s, signals), line.encounters.update(time_s, signals)
            yield time_s, Outcome(list(faces), [], signals, events, encounters)

    return _facts(outcomes())


class Film:
    """People who do what their scripts say."""

    def __init__(self, *scripts: Script, fps: float = 15) -> None:
        self._scripts, self._fps = scripts, fps

    def __call__(self, config: Config, folder: Path) -> Facts:
        return _signal(_pipeline(config), Camera(self._fps).film(*self._scripts))


class Looks:
    """One or more people, ten looks a second: mask scores and eyes as they are listed, the head straight ahead."""

    def __init__(self, scores: Sequence[MaskScores] = (), eyes: Sequence[float] = (), people: int = 1) -> None:
        self._people = people
        self._looks = [(one, OPEN) for one in scores] + [(BARE, EyeReading(one, None)) for one in eyes]

    def __call__(self, config: Config, folder: Path) -> Facts:
        def faces(time_s: float, scores: MaskScores, eyes: EyeReading) -> list[Face]:
            boxes = [square(200.0 * number, 100, 120) for number in range(1, self._people + 1)]
            tracks = [Track(n, box, 0.0, time_s, 2, Detection(box, 0.9)) for n, box in enumerate(boxes, 1)]
            return [Face(track, scores, pose=AHEAD, eyes=eyes) for track in tracks]

        frames = ((k / 10, faces(k / 10, *look)) for k, look in enumerate(self._looks))
        return _signal(_pipeline(config), frames)


class Stream:
    """Whole frames, ten a second: what the detector finds in each, before a textured wall."""

    def __init__(self, *parts: tuple[float, Sequence[Detection]]) -> None:
        """Each part: for how many seconds, and what is found."""
        self._frames = [found for seconds, found in parts for _ in range(round(seconds * 10))]

    def __call__(self, config: Config, folder: Path) -> Facts:
        poses, shown = ConstantPose(), list[Detection]()
        line = _pipeline(config, detector=ScriptedDetector(iter(lambda: shown, None)), pose=poses)

        def outcomes() -> Iterator[tuple[float, Outcome]]:
            for k, found in enumerate(self._frames):
                shown[:] = found
                yield k / 10, line.step(Frame("door", k, k / 10, WALL))

        facts = _facts(outcomes())
        return {**facts, "focal": round(poses.lenses[-1].focal) if poses.lenses else None}


def where(error: Exception) -> str:
    """The key or file that an error begins with."""
    return str(error).removeprefix("edged.toml: ").partition(": ")[0].partition(" = ")[0]


def someone(seconds: float, side: float = 60.0) -> tuple[float, list[Detection]]:
    return seconds, [sighting(200.0, side=side)]


def nobody(seconds: float) -> tuple[float, list[Detection]]:
    return seconds, []


def models(config: Config, folder: Path) -> Facts:
    """The real models, and what the detector finds in the first golden picture."""
    needed = " ".join(sorted(model_names(config.models, tasks_of(config))))
    longest: list[int] = []
    engines: list[Any] = []

    class Seen:
        def __init__(self, engine: Any) -> None:
            self.name, self.backend, self._engine = engine.name, engine.backend, engine
            engines.append(engine)

        def run(self, inputs: Mapping[str, Any]) -> Any:
            longest.extend(max(array.shape) for array in inputs.values())
            return self._engine.run(inputs)

    try:
        loaded = load_models(config.models, tasks_of(config), Seen)
    except EdgedError as error:
        return {"error": where(error), "needed": needed}
    line = build_pipeline("door", config.camera["door"], config, loaded)
    found = line.detector.detect(golden_pictures()[0].image)
    return {
        "needed": needed,
        "longest side": max(longest),
        "least score": min((round(face.score, 2) for face in found), default=None),
        "threads": engines[0]._session.get_session_options().intra_op_num_threads,
    }


def backends(config: Config, folder: Path) -> Facts:
    """What finds the models a faster backend, on a machine without TensorRT; and how an engine would be built."""
    worker = BackendWorker(config, [SimpleNamespace(name="detector", has_run=True, problem=None)])
    worker.work()
    entry = load_manifest(default_engines_dir()).entry("detector")
    return {
        "problems": [problem.partition(":")[0] for problem in worker.problems()],
        "core": build_options(entry, config.models).accelerator,
    }


def recording(config: Config, folder: Path) -> Facts:
    """What the camera's thread hands over of 4.5 seconds of pictures, ten a second, with red and green above black."""
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    picture: Image = np.zeros((80, 160, 3), np.uint8)
    picture[:40, :80], picture[:40, 80:] = (0, 0, 255), (0, 255, 0)
    for number in range(45):  # 5 s would end where a picture at 2 a second falls due: rounding would decide
        cv2.imwrite(str(pictures / f"{number:02d}.png"), picture)
    source = config.camera["door"].source.replace("/FOLDER", str(pictures))
    inbox = FrameInbox(["door"])
    camera = CameraWorker("door", config.camera["door"].model_copy(update={"source": source}), inbox)
    camera.start()
    frames: list[Frame] = []
    try:
        while (frame := inbox.take(0.1)) or not (camera.ended or camera.state().reason not in (None, NOT_OPENED)):
            frames += [frame] if frame else []
        reason = camera.state().reason
    finally:
        inbox.close()
        camera.stop(PATIENCE_S)
    if not frames:
        return {"reason": reason and reason.split(":")[0]}
    corners = [tuple(int(v > 128) for v in frames[0].image[y, x]) for y in (2, -3) for x in (2, -3)]
    names = {(0, 0, 1): "red", (0, 1, 0): "green", (0, 0, 0): "black"}
    return {
        "corners": " ".join(names[corner] for corner in corners),
        "size": frames[0].image.shape[1::-1],
        "frames": len(frames),
    }


def live_camera(config: Config, folder: Path) -> Facts:
    """What the process of a live camera is told, and what its thread does when it is silent for 7 s, or cannot be opened."""
    try:
        order = capture_settings(config.camera["door"])[0]
    except SourceLost as error:
        return {"error": where(error)}
    camera = CameraWorker("door", config.camera["door"], FrameInbox(["door"]))
    camera._keeper.became("online", None)
    camera._keeper.seen()
    later_s = time.monotonic() + 7
    with patch("edged.capture.state.time", SimpleNamespace(monotonic=lambda: later_s)):
        status = camera.state().status
    with patch("edged.capture.camera.try_reset", return_value=None) as reset:
        camera._reset_if_due(SimpleNamespace(reset_is_due=lambda _: True))  # type: ignore[arg-type]
    return {"transport": order.transport, "rotation": order.rotation, "flip": order.flip, "fps": order.fps,
            "status": status, "resets": reset.call_count}  # fmt: skip


def store(config: Config, folder: Path) -> Facts:
    """Five days of upkeep over a record of 100 days with 300 messages that wait."""
    clock = HandClock()
    with Store(folder / "edged.db") as kept:
        kept.write([encounter(day, clock.utc - day * 86_400_000, "none") for day in range(100)])
        kept.write([Message("events", "{}", created=clock.utc)] * 300)
        upkeep = Upkeep(WatchedClock(clock), config.store, record=lambda *_: None)
        for _ in range(20):
            clock.pass_s(6 * 3600)
            upkeep(kept)
            assert backup_is_over(kept)
        reader = StoreReader(kept.path)
        return {
            "passages": len(list(reader.encounters(0, clock.utc))),
            "waiting": reader.outbox_depth(),
            "backups": len(list((folder / "backups").glob("*.db"))),
        }


def report(config: Config, folder: Path) -> Facts:
    """A day with a passage each hour, every second one without a mask."""
    begin, end = span(DAY, "UTC")
    changes: list[Any] = watched(begin, end)
    at = [begin + (60 * hour + 1) * MINUTE for hour in range(24)]
    changes += [encounter(hour, at[hour], ("none", "correct")[hour % 2]) for hour in range(24)]
    with Store(folder / "report.db") as kept:
        kept.write(changes)
        return dict(build_report(StoreReader(kept.path), config, DAY, end))


def export(config: Config, folder: Path) -> Facts:
    """A day, and one twenty days before it, exported; the folder /stick is one of the scene's own."""
    place = folder / "stick"
    place.mkdir()
    if config.export.to == "/stick":
        config = config.model_copy(update={"export": config.export.model_copy(update={"to": str(place)})})
    config = config.model_copy(update={"store": config.store.model_copy(update={"path": folder / "export.db"})})
    days = [DAY - timedelta(days=20), DAY]
    with Store(config.store.path) as kept:
        kept.write([encounter(n, span(day, "UTC")[0] + MINUTE, "correct") for n, day in enumerate(days)])
        store_reports(kept, config, days)
        try:
            Exporter(config, StoreReader(kept.path), span(DAY, "UTC")[1] + 60 * MINUTE, lambda _: None).export(None)
        except EdgedError as error:
            return {"error": re.split(": | = ", str(error))[0]}
    forms = {path.name.split(".", 2)[2] for path in place.rglob("*.encounter.*")}
    return {"form": "".join(forms), "days": len(list(place.glob("record/v=1/dt=*")))}


def clock(config: Config, folder: Path) -> Facts:
    """What the doctor says of a clock that systemd-timesyncd has not set."""
    with patch("edged.doctor.SystemClock", partial(SystemClock, synchronised=folder / "nothing")):
        return {"line": _clock(config).line.partition(",")[0].partition(";")[0]}


async def _status_at(app: Any, host: bytes, path: str = "/claim") -> int:
    """The status of a page where a browser knows the device by that name."""
    told: list[int] = []

    async def send(message: Mapping[str, Any]) -> None:
        told.extend(filter(None, [message.get("status")]))

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b""}

    about = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", host)]}
    await app({**about, "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1)}, receive, send)
    return told[0]


def console(config: Config, folder: Path) -> Facts:
    """Where the console would be served, what it says of a name and of a certificate, and where it keeps its secrets."""
    settings, file = config.console, folder / "edged.toml"
    given = settings.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    file.write_text(dump_toml({"store": {"path": str(folder / "edged.db")}, "console": given}))
    with open_socket(settings.listen, 0) as server:
        facts: Facts = {"address": address(settings, settings.port), "bound": server.getsockname()[0]}
    try:
        facts["certificate"] = " ".join(map(str, certificate(settings) or ()))
    except EdgedError as error:
        facts["certificate"] = str(error).partition(":")[0]
    access = Access(settings.folder)
    access.file.open()
    app = build_app(Site(file), access)
    facts["status"] = anyio.run(_status_at, app, b"door.example.org")
    facts["figures"] = anyio.run(_status_at, app, b"localhost", "/metrics")
    facts["kept in"] = ", ".join(found.parent.name for found in folder.glob("*/access.json"))
    facts["said"] = (
        "" if settings.enabled else CliRunner().invoke(cli, ["console", "--config", str(file)]).output.strip()
    )
    return facts


@contextmanager
def _app(config: Config) -> Iterator[App]:
    """The daemon, built and not started; its models are none."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    nothing = Inference(_models(), BackendWorker(config, []))
    try:
        with patch("edged.daemon.runtime.load_inference", return_value=nothing):
            app = App(Path("edged.toml"), config, SystemClock(True))
        try:
            yield app
        finally:
            app._stop()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def privacy(config: Config, folder: Path) -> Facts:
    """What the daemon says to somebody who wants to see faces, and to somebody who wants a pause of a day."""
    with _app(config) as app:
        app.reloader.runtime._show(app.core)
        clear = app.core.live.clear
        refused = clear.ask("door", "Ada", "aiming", 0.0)
        left = [view.left_s for view in clear.standing(0.0)]
        pause = app.pausing.pause({"minutes": 1440, "who": "Ada"})["error"]
        return {"refused": refused and refused.rpartition(": ")[2], "left": left, "pause": pause}


def daemon(config: Config, folder: Path) -> Facts:
    """The daemon's files, and what a broker hears of it: where it was asked for, the CONNECT packet, and the topics."""
    heard: Facts = {}
    connect = Client.connect

    def listen(peer: Peer, number: int) -> None:
        heard["tls"] = peer._sock.recv(1, socket.MSG_PEEK) != b"\x10"
        if not heard["tls"]:
            peer.accept()
            heard["version"], heard["user"] = peer.version, b"gatekeeper" in peer.connect
            with suppress(ConnectionError):
                peer.serve()

    def redirected(client: Client, host: str, port: int, keepalive: int, **more: Any) -> Any:
        heard.update(asked=f"{host}:{port}", keepalive=keepalive)
        return connect(client, "127.0.0.1", broker.port, keepalive, **more)

    try:
        with ScriptedBroker(listen) as broker, _app(config) as app, patch.object(Client, "connect", redirected):
            files = " ".join(file.name for file in folder.glob("*.db"))
            publisher = app.reloader.runtime.publisher
            if publisher is None:
                return {"files": files, "asked": None}
            app.reloader.runtime._announce(app.core, publisher)
            publisher.start()
            publisher.retain(own("marker", "marked", retain=True))
            until(lambda: heard.get("tls") or any(one.topic.endswith("marker") for one in broker.published))
            end(publisher)
    except ConfigError as error:
        return {"error": where(error)}
    topics = [one.topic for one in broker.published]
    introduced = next((json.loads(one.payload) for one in broker.published if one.topic.endswith("/config")), None)
    return {
        "link": introduced and introduced["dev"].get("configuration_url"),
        "entity": introduced and introduced["cmps"]["door_violation"]["name"],
        **heard,
        "files": files,
        "prefix": {topic.partition("/")[0] for topic in topics if topic.endswith("/marker")},
        "discovery": " ".join(topic for topic in topics if topic.endswith("/config")),
    }


def notify(config: Config, folder: Path) -> Facts:
    """Where alerts and reports go besides the broker; mails are written, and not sent."""
    sent: list[EmailMessage] = []

    def send(self: Mail, letter: EmailMessage, keys: Sequence[str]) -> list[str]:
        sent.append(letter)
        return []

    try:
        reader = StoreReader(folder / "edged.db")
        found = {channel: made() for channel, made in transports(config, "hall", reader, SystemClock(True)).items()}
    except ConfigError as error:
        return {"error": where(error)}
    facts: Facts = {"alerts": " ".join(alert_channels(config)), "reports": " ".join(report_channels(config))}
    if isinstance(hook := found.get("webhook"), Webhook):
        facts |= {
            "posted to": f"{hook.peer.where} {hook._target}",
            "signed": "Edged-Signature" in hook.headers(alert("webhook"), b""),
        }
    if isinstance(mail := found.get("mail"), Mail):
        facts |= {
            "mailed by": mail.peer.where,
            "from": config.mail.effective_sender,
            "to": " ".join(config.mail.to or ()),
        }
        with patch.object(Mail, "deliver", send):
            while (chosen := mail.choose([alert("mail")])) and len(sent) < 99:
                mail.send(chosen)
        facts["mails of alerts"] = len(sent)
    return facts
