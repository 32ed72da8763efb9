"""Examines everything the daemon needs, one line each: what is there, what is wrong, what to do about it."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edged.assembly import model_names, wanted
from edged.capture.examine import look_at
from edged.clock import SystemClock
from edged.config import CameraConfig, Config
from edged.config.source import redact
from edged.daemon.systemd import Notifier
from edged.device import device_id, device_model
from edged.errors import EdgedError, SourceLost
from edged.inference import default_engines_dir, load_manifest
from edged.publish import probe_broker
from edged.store.recovery import is_sound

CAMERAS_AT_ONCE = 4
LEAST_FREE_BYTES = 200_000_000
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
    yield from _models(config)
    if not config.camera:
        yield Finding("cameras", "problem", "none is configured; add a table like [camera.door] with a source")
    with ThreadPoolExecutor(CAMERAS_AT_ONCE) as pool:
        yield from pool.map(_camera, config.camera.keys(), config.camera.values())
    yield from _store(config.store.path)
    yield _broker(config)
    yield _clock(config)
    yield _systemd()


def _models(config: Config) -> Iterator[Finding]:
    try:
        manifest = load_manifest(default_engines_dir())
    except EdgedError as error:
        yield Finding("models", "problem", str(error))
        return
    for name in model_names(config.models, wanted(config)):
        yield _tried(f"model {name}", lambda name=name: f"{len(manifest.verified_bytes(name))} bytes, as checked")  # type: ignore[misc]


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


def _store(path: Path) -> Iterator[Finding]:
    folder = next((parent for parent in path.parents if parent.exists()), Path("/"))
    if not os.access(folder, os.W_OK):
        yield Finding(
            "store", "problem", f"{folder}: not writable for this user; run as edged, or `chown edged {folder}`"
        )
    elif path.exists():
        verdict: Verdict = "ok" if is_sound(path) else "problem"
        yield Finding(
            "store",
            verdict,
            f"{path}: " + ("ok" if verdict == "ok" else "damaged; restarting the daemon restores a backup"),
        )
    else:
        yield Finding("store", "ok", f"{path}: will be made by `edged run`")
    free = shutil.disk_usage(folder).free
    enough = free >= LEAST_FREE_BYTES
    remedy = "" if enough else "; free some space or lower store.retention_days"
    yield Finding("disk", "ok" if enough else "problem", f"{free / 1e9:.1f} GB free in {folder}{remedy}")
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        yield Finding(
            "sqlite",
            "ok",
            f"{sqlite3.sqlite_version}: older than 3.51.3; never write to the database beside the daemon",
        )


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


def _tried(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", attempt())
    except EdgedError as error:
        return Finding(what, "problem", str(error))
