"""Examines everything the daemon needs, one line each: what is there, what is wrong, what to do about it."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edged.assembly import model_names, tasks_of
from edged.backends.status import EngineStatus, engine_statuses
from edged.capture.examine import examine_camera
from edged.config import CameraConfig, Config, ModelsConfig, config_sha256, doubts, exposures
from edged.config.source import parse_source, redact
from edged.daemon.client import ask as ask_daemon
from edged.daemon.client import socket_path
from edged.deliver import Transport, transports
from edged.deliver.webhook import Webhook
from edged.errors import EdgedError, SourceLost, StoreError, Unavailable
from edged.host.clock import SystemClock
from edged.host.device import device_id, device_model, usable_processors
from edged.inference import Manifest, default_engines_dir, load_manifest
from edged.inference.tensorrt import tensorrt_available
from edged.inference.tensorrt.binding import jetson_release
from edged.outputs.examine import examine as examine_outputs
from edged.processes.child import ask, die_with_us
from edged.publish import probe_broker, read_password
from edged.publish.problems import WRONG_LOGIN
from edged.selftest.machine import describe_gpu
from edged.shared_remedies import CLOCK, DISK
from edged.store import StoreReader
from edged.store.disk_space import ADVISED_FREE_BYTES
from edged.store.examine import Place

CAMERAS_AT_ONCE = 4
EXAMINER = (sys.executable, "-m", "edged.store.examine")
PLACE_S = 10.0
SOUNDNESS_S = 120.0
"""SQLite reads the whole database, from a slow card in the worst case."""
SAFE_SQLITE = (3, 51, 3)

FOR_ONE_PROGRAM = ("v4l2", "csi", "picamera", "gst")
"""Cameras that give their pictures to one program at a time."""

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    what: str
    verdict: Verdict
    line: str


def examine(config: Config, path: Path | None = None) -> Iterator[Finding]:
    """Examine the whole machine; findings come as they are made. `path` is the file that `config` was read from."""
    yield Finding(
        "board", "ok", f"{device_model()}, {usable_processors()} cores, known as {device_id(config.device.id)}"
    )
    yield from (Finding("config", "warning", line) for line in doubts(config))
    yield from (Finding("files", "warning", line) for line in (exposures(path, config) if path else []))
    store, store_answers = _store(config.store.path)
    daemon = _daemon(config) if store_answers else None
    if daemon is not None and not daemon["same"]:
        line = "it runs with other settings than the file's; `systemctl reload edged` or `systemctl restart edged`"
        yield Finding("daemon", "warning", line)
    yield from _models(config, store_answers)
    if not config.camera:
        yield Finding("cameras", "problem", "none is configured; add a table like [camera.door] with a source")
    with ThreadPoolExecutor(CAMERAS_AT_ONCE) as pool:
        yield from pool.map(lambda name: _camera(name, config.camera[name], daemon), config.camera)
    yield from _outputs(config, daemon)
    yield from store
    yield _broker(config, daemon)
    yield from _channels(config, daemon)
    yield _clock(config)


def _daemon(config: Config) -> dict[str, Any] | None:
    """What the running daemon answers, and as `same` whether its settings are `config`; None when none answers."""
    try:
        answer = ask_daemon(socket_path(config.store.path))
    except Unavailable:
        return None
    return {**answer, "same": answer.get("config_sha256") == config_sha256(config)}


def _models(config: Config, store_answers: bool = True) -> Iterator[Finding]:
    """Engines lie beside the database: where that does not answer, they are not searched for."""
    try:
        manifest = load_manifest(default_engines_dir())
    except EdgedError as error:
        yield Finding("models", "problem", str(error))
        return
    yield _tensorrt(config.models)
    tries = store_answers and config.models.tries_tensorrt
    states = engine_statuses(manifest, config) if tries else {}
    for name in model_names(config.models, tasks_of(config)):
        yield _model(manifest, name, states.get(name), config.models)


def _tensorrt(models: ModelsConfig) -> Finding:
    """Whether TensorRT is there; a Jetson should have it, other machines do without."""
    if not models.tries_tensorrt:
        key = (
            f"models.providers = {list(models.providers)}"
            if models.providers
            else f'models.backend = "{models.backend}"'
        )
        return Finding("tensorrt", "ok", f"not needed, as {key} says")
    missing = tensorrt_available()
    if missing is None:
        return Finding("tensorrt", "ok", ", ".join(describe_gpu().values()))
    line = missing.removeprefix("tensorrt: ")
    if models.backend == "tensorrt":
        return Finding("tensorrt", "problem", f'{line}; or set models.backend = "auto"')
    if jetson_release():
        return Finding("tensorrt", "warning", f"{line}; until then the CPU runs the models")
    return Finding("tensorrt", "ok", "not here and not needed: the CPU runs the models")


def _model(manifest: Manifest, name: str, engine: EngineStatus | None, models: ModelsConfig) -> Finding:
    """The file, and what is to be said of its engine."""
    try:
        line = f"{len(manifest.verified_bytes(name))} bytes, as checked"
    except EdgedError as error:
        return Finding(f"model {name}", "problem", str(error))
    if engine is None:
        return Finding(f"model {name}", "ok", line)
    verdict, more = _engine(engine, models)
    return Finding(f"model {name}", verdict, f"{line}; {more}" if more else line)


def _engine(engine: EngineStatus, models: ModelsConfig) -> tuple[Verdict, str]:
    """What of one model's engine, and whether somebody should do something about it."""
    if engine.state == "built":
        if engine.runs_on == "tensorrt":
            return "ok", "TensorRT runs it"
        return "ok", "the CPU runs it, which is faster"
    if engine.state == "none":
        if tensorrt_available():
            return "ok", ""
        asked = models.backend == "tensorrt"
        return ("warning" if asked else "ok"), "no engine yet: the daemon makes one, or `edged engines build` does"
    return "warning", f"the CPU runs it, as its engine is {engine.state}: {engine.why}"


def _camera(name: str, config: CameraConfig, daemon: dict[str, Any] | None = None) -> Finding:
    """Examine the camera in a process of its own, as the daemon does: a driver that hangs cannot hang this program.

    A camera that serves one program, and has it in the running daemon, is not opened: the daemon is asked.
    """
    if daemon and daemon["same"] and parse_source(config.source).scheme in FOR_ONE_PROGRAM:
        return _camera_of_daemon(name, config, daemon["cameras"][name])
    shown = redact(config.source)
    try:
        seen = examine_camera(config)
    except SourceLost as error:
        line = str(error)
        return Finding(f"camera {name}", "problem", line if line.startswith(shown) else f"{shown}: {line}")
    advice = seen.advice()
    line = "; ".join([f"{shown}: {seen.line()}", *advice])
    return Finding(f"camera {name}", "warning" if advice else "ok", line)


def _camera_of_daemon(name: str, config: CameraConfig, status: dict[str, Any]) -> Finding:
    """What the daemon says of a camera that it has open."""
    line = f"{redact(config.source)}: the running daemon has it: {status['status']}, {status['frames_seen']} pictures so far"
    if status["reason"]:
        line += f"; {status['reason']}"
    well: Verdict = "warning" if status["reason"] else "ok"
    return Finding(f"camera {name}", well if status["status"] == "online" else "problem", line)


def _outputs(config: Config, daemon: dict[str, Any] | None) -> Iterator[Finding]:
    """Chip, line, permission, sound card. Nobody hears or sees anything of it."""
    for one in examine_outputs(config.output, held=daemon is not None):
        yield Finding(f"output {one.name}", "problem" if one.problem else "ok", one.problem or one.line)


def _store(path: Path) -> tuple[list[Finding], bool]:
    """The database, its disk and SQLite, and whether the disk answers."""
    try:
        place = Place(**_ask_store("place", path, PLACE_S))
        store = _database(path, place)
    except StoreError as error:
        return [Finding("store", "problem", str(error)), *_sqlite()], False
    enough = place.free_bytes >= ADVISED_FREE_BYTES
    remedy = "" if enough else f"; {DISK}"
    free = f"{place.free_bytes / 1e9:.1f} GB free in {place.folder}{remedy}"
    return [store, Finding("disk", "ok" if enough else "problem", free), *_sqlite()], True


def _database(path: Path, place: Place) -> Finding:
    """The database in its folder. Raise StoreError when its disk stops answering meanwhile."""
    if not place.writable:
        line = f"{place.folder}: not writable for this user; run as edged, or `chown edged {place.folder}`"
        return Finding("store", "problem", line)
    if place.problem:
        return Finding("store", "problem", place.problem)
    if not place.exists:
        return Finding("store", "ok", f"{path}: will be made by `edged run`")
    if _ask_store("soundness", path, SOUNDNESS_S)["sound"]:
        return Finding("store", "ok", f"{path}: ok")
    return Finding("store", "problem", f"{path}: damaged; restarting the daemon restores a backup")


def _ask_store(question: str, path: Path, within_s: float) -> dict[str, Any]:
    """Ask in a process of its own: a disk that does not answer hangs that one. Raise StoreError, naming the remedy."""
    remedy = "see whether its disk or network share answers, and mount it again"
    try:
        answer = ask(die_with_us([*EXAMINER, question, str(path)]), within_s)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be examined: no process can be started ({error.strerror}); free memory, or restart edged"
        ) from None
    if answer.content is None:
        if answer.timed_out:
            raise StoreError(f"{path}: does not answer within {within_s:g} s; {remedy}")
        raise StoreError(f"{path}: cannot be examined ({answer.last_line})")
    if "lost" in answer.content:
        raise StoreError(f"{path}: cannot be examined ({answer.content['lost']}); {remedy}, or run it as edged's user")
    return answer.content


def _sqlite() -> list[Finding]:
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return []
    line = (
        f"{sqlite3.sqlite_version}: older than {'.'.join(map(str, SAFE_SQLITE))}, in which two programs that write at once can"
        " damage a database; let no other program write to it while the daemon runs"
    )
    return [Finding("sqlite", "warning", line)]


def _broker(config: Config, daemon: dict[str, Any] | None) -> Finding:
    mqtt = config.mqtt
    if mqtt.host is None:
        return Finding("broker", "warning", "none is configured: nothing is published; set mqtt.host")
    where = f"{mqtt.host}:{mqtt.effective_port}"
    try:
        hidden = mqtt.username is not None and read_password(mqtt) is None
        if hidden and daemon and daemon["same"] and daemon["broker"]["connected"]:
            return Finding("broker", "ok", f"{where} accepts the running daemon")
        problem = probe_broker(mqtt, device_id(config.device.id))
    except EdgedError as error:
        hidden, problem = False, str(error)
    if problem and hidden and not daemon and WRONG_LOGIN in problem:
        line = (
            f"{where} answers, and asks for a password. Where that is a systemd credential, which only the service is given, "
            "start the service and run this again; else set mqtt.password_file"
        )
        return Finding("broker", "warning", line)
    return Finding("broker", "problem" if problem else "ok", problem or f"{where} accepts the connection")


def _channels(config: Config, daemon: dict[str, Any] | None) -> Iterator[Finding]:
    """Webhook and mail, where they are configured; nothing is sent. The running daemon may know a password hidden here."""
    clock, reader = SystemClock(config.device.trust_clock), StoreReader(config.store.path)
    for channel, made in transports(config, device_id(config.device.id), reader, clock).items():
        known = (daemon["channels"].get(channel) if daemon and daemon["same"] else None) or {}
        if known.get("problem"):
            yield Finding(channel, "problem", known["problem"].removeprefix(f"{channel}: "))
        elif known.get("sent"):
            yield Finding(channel, "ok", f"the running daemon has sent {known['sent']} messages")
        else:
            yield _channel(channel, made)


def _channel(channel: str, made: Callable[[], Transport]) -> Finding:
    try:
        transport = made()
        transport.probe()
    except EdgedError as error:
        return Finding(channel, "problem", str(error))
    unsigned = isinstance(transport, Webhook) and not transport.is_signed
    doubt = "; nothing is signed: set webhook.secret_file, so that nobody else can post there in its name"
    return Finding(channel, "ok", f"{transport.peer.where} answers" + (doubt if unsigned else ""))


def _clock(config: Config) -> Finding:
    if SystemClock(config.device.trust_clock).trusted():
        return Finding(
            "clock", "ok", "synchronised" if not config.device.trust_clock else "believed, as device.trust_clock says"
        )
    return Finding(
        "clock",
        "warning",
        f"not known to be synchronised; {CLOCK}",
    )
