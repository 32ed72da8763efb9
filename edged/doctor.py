"""Examines everything the daemon needs, one line each: what is there, what is wrong, what to do about it."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edged.assembly import model_names, wanted
from edged.backends.inventory import EngineState, engine_states
from edged.capture.examine import look_at
from edged.clock import SystemClock
from edged.config import CameraConfig, Config, ModelsConfig
from edged.config.source import redact
from edged.daemon.systemd import Notifier
from edged.device import device_id, device_model
from edged.errors import EdgedError, SourceLost, StoreError
from edged.inference import Manifest, default_engines_dir, load_manifest
from edged.inference.tensorrt import tensorrt_available
from edged.inference.tensorrt.binding import jetson_release
from edged.processes.asking import ask
from edged.processes.child import die_with_us
from edged.publish import probe_broker
from edged.selftest import describe_gpu
from edged.store.condition import Place

CAMERAS_AT_ONCE = 4
LEAST_FREE_BYTES = 200_000_000
CONDITION = (sys.executable, "-m", "edged.store.condition")
PLACE_S = 10.0
SOUNDNESS_S = 120.0
"""SQLite reads the whole database, from a slow card in the worst case."""
SAFE_SQLITE = (3, 51, 3)

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    what: str
    verdict: Verdict
    line: str


def examine(config: Config) -> Iterator[Finding]:
    """Look at the whole machine; findings come as they are made."""
    yield Finding("board", "ok", f"{device_model()}, {os.cpu_count()} cores, known as {device_id(config.device.id)}")
    store, store_answers = _store(config.store.path)
    yield from _models(config, store_answers)
    if not config.camera:
        yield Finding("cameras", "problem", "none is configured; add a table like [camera.door] with a source")
    with ThreadPoolExecutor(CAMERAS_AT_ONCE) as pool:
        yield from pool.map(_camera, config.camera.keys(), config.camera.values())
    yield from store
    yield _broker(config)
    yield _clock(config)
    yield _systemd()


def _models(config: Config, store_answers: bool = True) -> Iterator[Finding]:
    """Engines lie beside the database: where that does not answer, nobody looks for them."""
    try:
        manifest = load_manifest(default_engines_dir())
    except EdgedError as error:
        yield Finding("models", "problem", str(error))
        return
    yield _tensorrt(config.models)
    looks = store_answers and config.models.looks_for_tensorrt
    states = engine_states(manifest, config) if looks else {}
    for name in model_names(config.models, wanted(config)):
        yield _model(manifest, name, states.get(name), config.models)


def _tensorrt(models: ModelsConfig) -> Finding:
    """Whether TensorRT is there; a Jetson should have it, other machines do without."""
    if not models.looks_for_tensorrt:
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


def _model(manifest: Manifest, name: str, engine: EngineState | None, models: ModelsConfig) -> Finding:
    """The file, and what is to be said of its engine."""
    try:
        line = f"{len(manifest.verified_bytes(name))} bytes, as checked"
    except EdgedError as error:
        return Finding(f"model {name}", "problem", str(error))
    if engine is None:
        return Finding(f"model {name}", "ok", line)
    verdict, more = _engine(engine, models)
    return Finding(f"model {name}", verdict, f"{line}; {more}" if more else line)


def _engine(engine: EngineState, models: ModelsConfig) -> tuple[Verdict, str]:
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


def _camera(name: str, config: CameraConfig) -> Finding:
    """Look at the camera in a process of its own, as the daemon does: a wedged driver cannot wedge the doctor."""
    shown = redact(config.source)
    try:
        look = look_at(config)
    except SourceLost as error:
        line = str(error)
        return Finding(f"camera {name}", "problem", line if line.startswith(shown) else f"{shown}: {line}")
    advice = look.advice()
    line = "; ".join([f"{shown}: {look.line()}", *advice])
    return Finding(f"camera {name}", "warning" if advice else "ok", line)


def _store(path: Path) -> tuple[list[Finding], bool]:
    """The database, its disk and SQLite, and whether the disk answers."""
    try:
        place = Place(**_told_of_store("place", path, PLACE_S))
        store = _database(path, place)
    except StoreError as error:
        return [Finding("store", "problem", str(error)), *_sqlite()], False
    enough = place.free_bytes >= LEAST_FREE_BYTES
    remedy = "" if enough else "; free some space or lower store.retention_days"
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
    if _told_of_store("soundness", path, SOUNDNESS_S)["sound"]:
        return Finding("store", "ok", f"{path}: ok")
    return Finding("store", "problem", f"{path}: damaged; restarting the daemon restores a backup")


def _told_of_store(question: str, path: Path, patience_s: float) -> dict[str, Any]:
    """Ask in a process of its own: a disk that does not answer hangs that one. Raise StoreError, naming the remedy."""
    remedy = "see whether its disk or network share answers, and mount it anew"
    try:
        answer = ask(die_with_us([*CONDITION, question, str(path)]), patience_s)
    except OSError as error:
        raise StoreError(f"{path}: cannot be examined: no process can be started ({error.strerror})") from None
    if answer.told is None:
        if answer.late:
            raise StoreError(f"{path}: does not answer within {patience_s:g} s; {remedy}")
        raise StoreError(f"{path}: cannot be examined ({answer.last_words})")
    if "lost" in answer.told:
        raise StoreError(f"{path}: cannot be examined ({answer.told['lost']}); {remedy}, or run it as edged's user")
    return answer.told


def _sqlite() -> list[Finding]:
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return []
    line = f"{sqlite3.sqlite_version}: older than 3.51.3; never write to the database beside the daemon"
    return [Finding("sqlite", "ok", line)]


def _broker(config: Config) -> Finding:
    mqtt = config.mqtt
    if mqtt.host is None:
        return Finding("broker", "warning", "none is configured: nothing is published; set mqtt.host")
    try:
        problem = probe_broker(mqtt, device_id(config.device.id))
    except EdgedError as error:
        problem = str(error)
    return Finding("broker", "problem" if problem else "ok", problem or f"{mqtt.host}:{mqtt.effective_port} lets us in")


def _clock(config: Config) -> Finding:
    if SystemClock(config.device.trust_clock).trusted():
        return Finding(
            "clock", "ok", "synchronised" if not config.device.trust_clock else "believed, as device.trust_clock says"
        )
    return Finding(
        "clock",
        "warning",
        "not known to be synchronised; enable systemd-timesyncd, or set device.trust_clock with chrony",
    )


def _systemd() -> Finding:
    if Notifier.available():
        return Finding("systemd", "ok", "systemd-python is installed")
    return Finding("systemd", "warning", "systemd-python is missing; as a service edged needs edged[systemd]")
