"""Every key of the config changes what the product does: one row for each, with the scene it shows in and what differs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from support.doubles import scores_for
from support.output_scenes import minute, pressed
from support.scenes import (
    Facts,
    Film,
    Looks,
    Stream,
    backends,
    clock,
    console,
    daemon,
    export,
    live_camera,
    models,
    nobody,
    notify,
    privacy,
    recording,
    report,
    someone,
    store,
    where,
)
from support.traces import Move, Script, every

from edged.config import CameraConfig, Config
from edged.config.load import OUTPUT_KINDS, parse_config
from edged.errors import ConfigError
from edged.types import MaskState

CORRECT, INCORRECT, NONE = MaskState.CORRECT, MaskState.INCORRECT, MaskState.NONE
HERE = str(Path(__file__))

FILE = {"camera.door.source": "images:///FOLDER?fps=10"}
RTSP = {"camera.door.source": "rtsp://192.0.2.1/stream"}
ATTENTION = {"mask.enabled": False, "attention.enabled": True, "attention.target_yaw": 0, "attention.target_pitch": 0}
DROWSINESS = {"mask.enabled": False, "drowsiness.enabled": True}
BROKER = {"device.id": "hall", "store.path": "edged.db", "mqtt.host": "127.0.0.1"}
CONSOLE = {"console.folder": "console"}
OWN_CERTIFICATE = {**CONSOLE, "console.tls": True, "console.cert_file": HERE, "console.key_file": "/nonexistent/key"}
SECURE = {**BROKER, "mqtt.tls": True}
STICK = {"export.to": "/stick"}
WEB = {"export.to": "https://127.0.0.1:9/bucket"}
HOOK = {"webhook.url": "https://gate.example/hook"}
POST = {"mail.host": "127.0.0.1", "mail.to": ["a@x.example"], "mail.sender": "edged@x.example"}
CERTIFIED = {**SECURE, "mqtt.cert_file": HERE, "mqtt.key_file": HERE}


@dataclass(frozen=True)
class Row:
    """`key` set to `value` turns the scene's `fact` from `before` into `after`. `base`: other keys, always set."""

    key: str
    value: Any
    scene: Callable[[Config, Path], Facts]
    fact: str
    before: Any
    after: Any
    base: Mapping[str, Any] = field(default_factory=dict)


def rows(table: str, base: Mapping[str, Any], given: list[tuple[str, Any, str, Any, Any, dict[str, Any]]]) -> list[Row]:
    """Rows of one kind of output, in the scripted minute."""
    return [Row(f"{table}.{key}", value, minute, *facts, {**base, **more}) for key, value, *facts, more in given]


def masks(*spans: tuple[float, MaskState, float], people: int = 1) -> Looks:
    """Looks at a mask: for how many seconds, which state, and its score."""
    return Looks(
        [scores_for(state, score) for seconds, state, score in spans for _ in range(round(seconds * 10))], people=people
    )


def eyes(*spans: tuple[float, float], people: int = 1) -> Looks:
    """Looks at eyes: for how many seconds, and how far open."""
    return Looks(eyes=[share for seconds, share in spans for _ in range(round(seconds * 10))], people=people)


def away(seconds: float, yaw: float = 50.0, pitch: float = 0.0) -> Script:
    """A look elsewhere after five seconds."""
    return Script(20, moves=[Move(5, 5 + seconds, yaw=yaw, pitch=pitch, over=0.1)])


def glances(length: float, apart: float) -> Script:
    """Short looks aside, one after the other, each so long after the one before began."""
    return Script(60, moves=[Move(start, end, yaw=50, over=0.1) for start, end in every(apart, length, 5, 55)])


LAMP = {"output.it.kind": "gpio", "output.it.when": ["mask_none"], "output.it.line": "RED"}
PULSES = {"output.it.pattern": "pulses", "output.it.longest_seconds": 1}
RAMP = {"output.it.pattern": "ramp", "output.it.longest_seconds": 1}
VOICE = {"output.it.kind": "sound", "output.it.when": ["mask_none"]}
DOOR = {"output.it.kind": "door", "output.it.line": "DOOR"}
BUTTON = {"output.it.kind": "button", "output.it.line": "RED"}
BARE = masks((5, NONE, 0.95))
TWICE = masks((3, NONE, 0.95), (3, CORRECT, 0.95), (3, NONE, 0.95))
LONG, SLEEPY = Film(away(4)), eyes((5, 0.95), (1.2, 0.05), (12, 0.95))
SLEEPY_TWICE = eyes((5, 0.95), (1.2, 0.05), (12, 0.95), (1.2, 0.05))
BLINKING = eyes((8, 0.95), *[(0.7, 0.05), (9.3, 0.95)] * 5)
SHUT = [(k + 0.3, k + 0.45) for k in range(3, 58, 4)]
NODS = Script(
    90, shut=[*SHUT, (60, 62), (70, 72)],
    moves=[Move(61, 61.9, pitch=-25, over=0.5), Move(71, 71.9, pitch=-25, over=0.5)],
)  # fmt: skip
YAWNS = Script(60, yawns=[(10, 14), (25, 29), (40, 44)])

# fmt: off
QUIET = {"output.it.quiet_from": "13:00", "output.it.quiet_until": "14:00"}
NOISY = {"output.it.quiet_from": "11:00", "output.it.quiet_until": "11:30"}
AWAY, SLEPT = "start long !, end long recovered", "start microsleep !, end microsleep recovered"
REPEATEDLY = "start repeated !, end repeated recovered"

ROWS = [
    Row("device.id", "gate", report, "device", "hall", "gate", {"device.id": "hall"}),
    Row("device.name", "Gate", report, "site", "edged", "Gate"),
    Row("device.trust_clock", True, clock, "line", "not known to be synchronised", "believed"),
    Row("camera.source", "file:///nothing.mp4", recording, "reason", None, "/nothing.mp4", FILE),
    Row("camera.name", "Main door", report, "camera_names", None, {"door": "Main door"}),
    Row("camera.name", "Main door", daemon, "entity", "door violation", "Main door violation", BROKER),
    Row("camera.credentials_file", "/nonexistent/door", live_camera, "error", None, "/nonexistent/door", RTSP),
    Row("camera.rotation", 90, recording, "size", (160, 80), (80, 160), FILE),
    Row("camera.rotation", 90, live_camera, "rotation", 0, 90, RTSP),
    Row("camera.flip", "horizontal", recording, "corners", "red green black black", "green red black black", FILE),
    Row("camera.flip", "vertical", live_camera, "flip", "none", "vertical", RTSP),
    Row("camera.region", [0.5, 0, 1, 1], recording, "corners", "red green black black", "green green black black", FILE),
    Row("camera.fps", 2, recording, "frames", 45, 9, FILE),
    Row("camera.fps", 2, live_camera, "fps", 15, 2.0, RTSP),
    Row("camera.smallest_face", 96, models, "longest side", 352, 96),
    Row("camera.stall_seconds", 9, live_camera, "status", "stalled", "online", RTSP),
    Row("camera.transport", "udp", live_camera, "transport", "auto", "udp", RTSP),
    Row("camera.reset", True, live_camera, "resets", 0, 1, RTSP),
    Row("camera.profile", "classroom", Film(away(4)), "kinds", {"mask"}, {"mask", "inattention"}),
    Row("camera.field_of_view", 90, Stream(someone(2)), "focal", 346, 200, {"attention.enabled": True}),
    Row("models.detector", "mtcnn", models, "needed", "detector mask rescorer", "mask mtcnn-onet mtcnn-pnet mtcnn-rnet"),
    Row("models.smallest_face", 96, models, "longest side", 352, 96),
    Row("models.least_score", 0.02, models, "least score", 0.99, 0.02),
    Row("models.mask", "mobilenet", models, "needed", "detector mask rescorer",
        "detector mask-mobilenet rescorer"),
    Row("models.landmarks", "efficientnet", models, "needed", "detector landmarks mask pose rescorer",
        "detector landmarks-efficientnet mask pose rescorer", {"attention.enabled": True}),
    Row("models.pose", "heatmap", models, "needed", "detector landmarks mask pose rescorer",
        "detector landmarks mask pose-heatmap rescorer",
        {"attention.enabled": True}),
    Row("models.threads", 3, models, "threads", 1, 3, {"models.threads": 1}),
    Row("models.backend", "tensorrt", backends, "problems", [], ["tensorrt"]),
    Row("models.dla_core", 0, backends, "core", None, 0),
    Row("models.providers", ["XnnpackExecutionProvider"], models, "error", None, "key models.providers"),
    Row("mask.enabled", False, BARE, "events", "start none !", ""),
    Row("mask.enter_score", 0.9, masks((3, NONE, 0.8)), "state", "none", "uncertain"),
    Row("mask.leave_score", 0.7, masks((3, NONE, 0.95), (3, NONE, 0.6)), "state", "none", "uncertain"),
    Row("mask.vote_seconds", 5, masks((6, NONE, 0.95), (6, CORRECT, 0.95)), "times", [0.7, 7.2], [0.7, 10.3]),
    Row("mask.hold_seconds", 2, BARE, "times", [0.7], [2.2]),
    Row("mask.least_votes", 10, BARE, "times", [0.7], [1.3]),
    Row("mask.smallest_face", 100, Stream(someone(3)), "events", "start none !", ""),
    Row("mask.cooldown_seconds", 0, TWICE, "events", "start none !, end none corrected, start none cooldown",
        "start none !, end none corrected, start none !"),
    Row("mask.most_alerts_per_minute", 1, masks((3, NONE, 0.95), people=2), "events", "start none !, start none !",
        "start none !, start none too many"),
    Row("mask.violations", ["none"], masks((3, INCORRECT, 0.95)), "events", "start incorrect !", ""),
    Row("attention.enabled", False, LONG, "events", AWAY, "", {"camera.door.profile": "classroom", "mask.enabled": False}),
    Row("attention.smallest_face", 200, LONG, "events", AWAY, "", ATTENTION),
    Row("attention.target_yaw", 50, LONG, "events", AWAY, AWAY + ", start long cooldown", ATTENTION),
    Row("attention.target_pitch", 40, Film(away(4, yaw=0, pitch=40)), "events", AWAY, AWAY + ", start long cooldown",
        ATTENTION),
    Row("attention.yaw_degrees", 60, LONG, "events", AWAY, "", ATTENTION),
    Row("attention.up_degrees", 60, Film(away(4, yaw=0, pitch=40)), "events", AWAY, "", ATTENTION),
    Row("attention.down_degrees", 60, Film(away(4, yaw=0, pitch=-40)), "events", AWAY, "", ATTENTION),
    Row("attention.most_deviation", 2, LONG, "events", AWAY, "", ATTENTION),
    Row("attention.long_seconds", 6, LONG, "events", AWAY, "", ATTENTION),
    Row("attention.repeated_seconds", 20, Film(glances(2, 3.5)), "events", REPEATEDLY, "", ATTENTION),
    Row("attention.window_seconds", 11, Film(glances(2, 3.5)), "events", REPEATEDLY, "", ATTENTION),
    Row("attention.forward_seconds", 1, Film(glances(2, 3.5)), "events", REPEATEDLY, "", ATTENTION),
    Row("attention.distractions", ["repeated"], LONG, "events", AWAY, "", ATTENTION),
    Row("attention.alerts", False, LONG, "events", AWAY, "start long not wanted, end long recovered", ATTENTION),
    Row("attention.cooldown_seconds", 0, Film(away(4).then(away(4))), "events",
        f"{AWAY}, start long cooldown, end long recovered", f"{AWAY}, {AWAY}", ATTENTION),
    Row("attention.most_alerts_per_minute", 1, Film(away(4), away(4)), "events",
        "start long !, start long !, end long recovered, end long recovered",
        "start long !, start long too many, end long recovered, end long recovered", ATTENTION),
    Row("drowsiness.enabled", False, SLEEPY, "events", SLEPT, "", {"camera.door.profile": "driver"}),
    Row("drowsiness.smallest_face", 200, SLEEPY, "events", SLEPT, "", DROWSINESS),
    Row("drowsiness.closed_below", 0.1, eyes((5, 0.95), (1.5, 0.15), (3, 0.95)), "events", "start microsleep !", "",
        DROWSINESS),
    Row("drowsiness.open_above", 0.6, eyes((5, 0.95), (0.7, 0.1), (1.2, 0.5), (3, 0.95)), "events", "", "start microsleep !",
        DROWSINESS),
    Row("drowsiness.long_closure_seconds", 0.9, BLINKING, "score", 0.3569, 0.1192, DROWSINESS),
    Row("drowsiness.microsleep_seconds", 1.6, SLEEPY, "events", SLEPT, "", DROWSINESS),
    Row("drowsiness.alarm_seconds", 2.8, eyes((5, 0.95), (2.5, 0.05)), "level", "alarm", "warning", DROWSINESS),
    Row("drowsiness.sleep_seconds", 6, eyes((5, 0.95), (4, 0.05)), "events", "start microsleep !, update sleep",
        "start microsleep !", DROWSINESS),
    Row("drowsiness.window_seconds", 20, BLINKING, "perclos known", 42, 14, DROWSINESS),
    Row("drowsiness.least_valid", 0.3, BLINKING, "perclos known", 42, 18, DROWSINESS),
    Row("drowsiness.perclos_notice", 0.03, BLINKING, "score", 0.3569, 0.5593, DROWSINESS),
    Row("drowsiness.perclos_warning", 0.09, BLINKING, "score", 0.5755, 0.6172,
        {**DROWSINESS, "drowsiness.perclos_notice": 0.02}),
    Row("drowsiness.perclos_alarm", 0.05, BLINKING, "score", 0.7602, 0.9185,
        {**DROWSINESS, "drowsiness.perclos_notice": 0.02, "drowsiness.perclos_warning": 0.03}),
    Row("drowsiness.dwell_seconds", 1, BLINKING, "times", [52.0], [43.0], DROWSINESS),
    Row("drowsiness.recovery_seconds", 5, SLEEPY, "times", [6.0, 16.1], [6.0, 11.1], DROWSINESS),
    Row("drowsiness.yawn_ratio", 1.5, Film(YAWNS), "yawns", 3, 0, DROWSINESS),
    Row("drowsiness.yawn_seconds", 5, Film(YAWNS), "yawns", 3, 0, DROWSINESS),
    Row("drowsiness.yawns", 2, Film(YAWNS), "times", [44.5], [29.5], DROWSINESS),
    Row("drowsiness.nod_degrees", 40, Film(NODS), "nods", 2, 0, DROWSINESS),
    Row("drowsiness.nods", 1, Film(NODS), "times", [72.3], [62.3], {**DROWSINESS, "drowsiness.reasons": ["nodding"]}),
    Row("drowsiness.reasons", ["sleep"], SLEEPY, "events", SLEPT, "", DROWSINESS),
    Row("drowsiness.alert_level", "alarm", SLEEPY, "events", SLEPT, "start microsleep level, end microsleep recovered",
        DROWSINESS),
    Row("drowsiness.cooldown_seconds", 0, SLEEPY_TWICE, "events", SLEPT + ", start microsleep cooldown",
        SLEPT + ", start microsleep !", DROWSINESS),
    Row("drowsiness.most_alerts_per_minute", 1, eyes((5, 0.95), (1.2, 0.05), people=2), "events",
        "start microsleep !, start microsleep !", "start microsleep !, start microsleep too many", DROWSINESS),
    Row("events.lost_seconds", 3, Stream(someone(2), nobody(1.5), someone(4)), "tracks", 2, 1),
    Row("camera.profile", "driver", Stream(someone(2), nobody(2.5), someone(4)), "tracks", 2, 1),
    Row("events.lost_seconds", 0.8, Stream(someone(2), nobody(2.5), someone(4)), "tracks", 1, 2,
        {"camera.door.profile": "driver"}),
    Row("events.encounter_seconds", 9, BARE, "passages", 1, 0),
    Row("events.longest_seconds", 10, masks((15, NONE, 0.95)), "events", "start none !",
        "start none !, end none longest, start none cooldown"),
    Row("events.static_seconds", 4, Stream(someone(12)), "static", 0, 1),
    Row("store.path", "other.db", daemon, "files", "edged.db", "other.db", {"store.path": "edged.db"}),
    Row("store.retention_days", 88, store, "passages", 86, 84),
    Row("store.backups", 1, store, "backups", 3, 1),
    Row("store.outbox_limit", 100, store, "waiting", 300, 100),
    Row("mqtt.host", "localhost", daemon, "asked", None, "localhost:1883", {"store.path": "edged.db"}),
    Row("mqtt.port", 1999, daemon, "asked", "127.0.0.1:1883", "127.0.0.1:1999", BROKER),
    Row("mqtt.version", "5", daemon, "version", 4, 5, BROKER),
    Row("mqtt.prefix", "site", daemon, "prefix", {"edged"}, {"site"}, BROKER),
    Row("mqtt.username", "gatekeeper", daemon, "user", False, True, BROKER),
    Row("mqtt.password_file", "/nonexistent/password", daemon, "error", None, "key mqtt.password_file",
        {**BROKER, "mqtt.username": "gatekeeper"}),
    Row("mqtt.tls", True, daemon, "tls", False, True, BROKER),
    Row("mqtt.ca_file", "/nonexistent/ca", daemon, "error", None, "key mqtt.ca_file", SECURE),
    Row("mqtt.cert_file", "/nonexistent/cert", daemon, "error", "keys mqtt.cert_file", "key mqtt.cert_file", CERTIFIED),
    Row("mqtt.key_file", "/nonexistent/key", daemon, "error", "keys mqtt.cert_file", "key mqtt.key_file", CERTIFIED),
    Row("mqtt.keepalive_seconds", 60, daemon, "keepalive", 30, 60, BROKER),
    Row("mqtt.discovery", False, daemon, "discovery", "homeassistant/device/edged_hall/config", "", BROKER),
    Row("mqtt.discovery_prefix", "site/homeassistant", daemon, "discovery", "homeassistant/device/edged_hall/config",
        "site/homeassistant/device/edged_hall/config", BROKER),
    Row("mqtt.configuration_url", "http://wiki/hall", daemon, "link", None, "http://wiki/hall", BROKER),
    Row("report.site", "Gate", report, "site", "edged", "Gate"),
    Row("report.timezone", "Asia/Tokyo", report, "utc_start", "2026-06-02T00:00:00.000Z", "2026-06-01T15:00:00.000Z"),
    Row("report.open_from", "12:00", report, "encounters", 24, 12),
    Row("report.open_until", "12:00", report, "encounters", 24, 12),
    Row("report.target_percent", 90, report, "verdict", None, "cannot tell"),
    Row("privacy.clear_view", False, privacy, "refused", None, "privacy.clear_view = false", {"store.path": "edged.db"}),
    Row("privacy.clear_view_minutes", 5, privacy, "left", [600.0], [300.0], {"store.path": "edged.db"}),
    Row("privacy.pause_longest_minutes", 60, privacy, "pause", None,
        'minutes: must be a whole number from 1 to 60, or give "until": "tomorrow"', {"store.path": "edged.db"}),
    Row("report.requirement", "Masks on", report, "requirement", "", "Masks on"),
    Row("export.to", "https://127.0.0.1:9/bucket", export, "error", "nowhere to export to", "127.0.0.1:9"),
    Row("export.format", "jsonl.gz", export, "form", "parquet", "jsonl.gz", STICK),
    Row("export.token_file", "/nonexistent/token", export, "error", "127.0.0.1:9", "key export.token_file", WEB),
    Row("export.ca_file", "/nonexistent/ca", export, "error", "127.0.0.1:9", "key export.ca_file", WEB),
    Row("export.sign_key_file", "/nonexistent/key", export, "error", None, "key export.sign_key_file", STICK),
    Row("export.keep_days", 7, export, "days", 2, 1, STICK),
    Row("console.enabled", False, console, "said", "", "the console is switched off: enabled = false in [console]", CONSOLE),
    Row("console.listen", "127.0.0.2", console, "bound", "127.0.0.1", "127.0.0.2", CONSOLE),
    Row("console.port", 8081, console, "address", "http://127.0.0.1:8080/", "http://127.0.0.1:8081/", CONSOLE),
    Row("console.hosts", ["door.example.org"], console, "status", 421, 200, CONSOLE),
    Row("console.tls", True, console, "address", "http://127.0.0.1:8080/", "https://127.0.0.1:8080/", CONSOLE),
    Row("console.cert_file", "/nonexistent/cert", console, "certificate", "key console.key_file", "key console.cert_file",
        OWN_CERTIFICATE),
    Row("console.key_file", "/nonexistent/key", console, "certificate", f"{HERE} {HERE}", "key console.key_file",
        {**OWN_CERTIFICATE, "console.key_file": HERE}),
    Row("console.metrics", True, console, "figures", 404, 200, CONSOLE),
    Row("console.folder", "elsewhere", console, "kept in", "console", "elsewhere", CONSOLE),
    *rows("output.gpio", LAMP, [
        ("name", "Red lamp", "entity", "it", "Red lamp", {}),
        ("when", ["mask_correct"], "edges", "+10 -20", "+30.1 -36.1", {}),
        ("cameras", ["gate"], "edges", "+10 -20", "", {"camera.gate.source": "file:///b.mp4"}),
        ("hold_seconds", 2, "edges", "+10 -20", "+12 -20", {}),
        ("shortest_seconds", 15, "edges", "+10 -20", "+10 -25", {}),
        ("longest_seconds", 4, "edges", "+10 -20", "+10 -14", {}),
        ("repeat_seconds", 6, "edges", "+10 -14", "+10 -14 +16 -20", {"output.it.longest_seconds": 4}),
        ("quiet_from", "11:30", "edges", "+10 -20", "", QUIET),
        ("quiet_until", "15:00", "edges", "+10 -20", "", NOISY),
        ("chip", "second", "chip", "gpiochip0", "gpiochip1", {"output.it.chip": "first"}),
        ("line", "SPARE", "offset", 0, 0, {}),
        ("active_low", True, "active low", False, True, {}),
        ("bias", "pull-up", "bias", "AS_IS", "PULL_UP", {}),
        ("drive", "open-drain", "drive", "PUSH_PULL", "OPEN_DRAIN", {}),
        ("safe", "active", "first", "INACTIVE", "ACTIVE", {}),
        ("pattern", "pulses", "edges", "+10 -11", "+10 -10.3 +10.6 -10.9", {"output.it.longest_seconds": 1}),
        ("on_seconds", 0.5, "edges", "+10 -10.3 +10.6 -10.9", "+10 -10.5 +10.8 -11", PULSES),
        ("off_seconds", 0.5, "edges", "+10 -10.3 +10.6 -10.9", "+10 -10.3 +10.8 -11", PULSES),
        ("ramp_seconds", 2, "edges", "+10 -10.3 +10.6 -10.95", "+10 -10.3 +10.6 -11", RAMP),
    ]),
    *rows("output.sound", VOICE, [
        ("name", "Voice", "entity", "it", "Voice", {}),
        ("when", ["mask_correct"], "played", "10 voice/mask_none 20 -", "30.1 chime 36.1 -", {}),
        ("cameras", ["gate"], "played", "10 voice/mask_none 20 -", "", {"camera.gate.source": "file:///b.mp4"}),
        ("hold_seconds", 2, "played", "10 voice/mask_none 20 -", "12 voice/mask_none 20 -", {}),
        ("shortest_seconds", 15, "played", "10 alarm 20 -", "10 alarm 25 -", {"output.it.play": "alarm"}),
        ("longest_seconds", 4, "played", "10 alarm 20 -", "10 alarm 14 -", {"output.it.play": "alarm"}),
        ("repeat_seconds", 6, "played", "10 voice/mask_none 20 -", "10 voice/mask_none 16 voice/mask_none 20 -", {}),
        ("quiet_from", "11:30", "played", "10 voice/mask_none 20 -", "", QUIET),
        ("quiet_until", "15:00", "played", "10 voice/mask_none 20 -", "", NOISY),
        ("play", "chime", "played", "10 voice/mask_none 20 -", "10 chime 20 -", {}),
        ("language", "de", "lengths", {"voice/mask_none": 1.23}, {"voice/mask_none": 1.78}, {}),
        ("device", "plughw:1", "device", "default", "plughw:1", {}),
        ("volume", 40, "loudest", 24_576, 12_288, {}),
    ]),
    *rows("output.door", DOOR, [
        ("name", "Turnstile", "entity", "it", "Turnstile", {}),
        ("cameras", ["door"], "edges", "", "+31.1 -36.1", {"camera.gate.source": "file:///b.mp4"}),
        ("hold_seconds", 3, "edges", "+31.1 -36.1", "+33.1 -36.1", {}),
        ("shortest_seconds", 6, "edges", "+31.1 -36.1", "+31.1 -37.1", {}),
        ("chip", "second", "chip", "gpiochip0", "gpiochip1", {"output.it.chip": "first"}),
        ("line", "RED", "offset", 1, 0, {}),
        ("active_low", True, "active low", False, True, {}),
        ("bias", "pull-down", "bias", "AS_IS", "PULL_DOWN", {}),
        ("drive", "open-source", "drive", "PUSH_PULL", "OPEN_SOURCE", {}),
        ("safe", "active", "first", "INACTIVE", "ACTIVE", {}),
    ]),
    *rows("output.button", BUTTON, [
        ("name", "Red button", "entity", "it", "Red button", {}),
        ("chip", "second", "chip", "gpiochip0", "gpiochip1", {"output.it.chip": "first"}),
        ("line", "DOOR", "offset", 0, 1, {}),
        ("active_low", True, "active low", False, True, {}),
        ("bias", "pull-up", "bias", "AS_IS", "PULL_UP", {}),
        ("debounce_ms", 50, "debounce", 0.02, 0.05, {}),
    ]),
    Row("output.button.acknowledges", ["voice"], pressed, "off", ["lamp", "voice"], ["voice"], {
        **BUTTON, "output.lamp.kind": "gpio", "output.lamp.when": ["mask_none"], "output.lamp.line": "DOOR",
        "output.voice.kind": "sound", "output.voice.when": ["mask_none"]}),
    Row("webhook.url", "https://gate.example/hook", notify, "posted to", None, "gate.example:443 /hook"),
    Row("webhook.secret_file", HERE, notify, "signed", False, True, HOOK),
    Row("webhook.ca_file", "/nonexistent/ca", notify, "error", None, "key webhook.ca_file", HOOK),
    Row("webhook.allow_http", True, notify, "refused", "table [webhook]", None, {"webhook.url": "http://gate.example/"}),
    Row("webhook.alerts", False, notify, "alerts", "webhook", "", HOOK),
    Row("webhook.report", False, notify, "reports", "webhook", "", HOOK),
    Row("mail.host", "smtp.example", notify, "mailed by", None, "smtp.example:587", {**POST, "mail.host": None}),
    Row("mail.port", 2525, notify, "mailed by", "127.0.0.1:587", "127.0.0.1:2525", POST),
    Row("mail.security", "tls", notify, "mailed by", "127.0.0.1:587", "127.0.0.1:465", POST),
    Row("mail.username", "gatekeeper", notify, "error", None, "mail.username is set, and there is no password", POST),
    Row("mail.password_file", "/nonexistent/password", notify, "error",
        "mail.username is set, and there is no password", "key mail.password_file",
        {**POST, "mail.username": "gatekeeper"}),
    Row("mail.ca_file", "/nonexistent/ca", notify, "error", None, "key mail.ca_file", POST),
    Row("mail.sender", "gate@x.example", notify, "from", "edged@x.example", "gate@x.example", POST),
    Row("mail.to", ["b@x.example"], notify, "to", "a@x.example", "b@x.example", POST),
    Row("mail.report", False, notify, "reports", "mail", "", POST),
    Row("mail.alerts", True, notify, "alerts", "", "mail", POST),
    Row("mail.alerts_per_hour", 2, notify, "mails of alerts", 4, 2, {**POST, "mail.alerts": True}),
]
# fmt: on


def play(row: Row, folder: Path, keys: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The row's fact, as the loader builds the config from these dotted keys."""
    raw: dict[str, Any] = {"camera": {"door": {"source": "file:///a.mp4"}}}
    for key, value in {**row.base, **keys}.items():
        *tables, name = key.split(".")
        table = raw
        for part in tables:
            table = table.setdefault(part, {})
        table[name] = value
    folder.mkdir()
    monkeypatch.chdir(folder)
    try:
        config = parse_config(raw, Path("edged.toml"))
    except ConfigError as error:
        return where(error) if row.fact == "refused" else pytest.fail(str(error))
    return row.scene(config, folder).get(row.fact)


def written(key: str) -> str:
    """The key as a file has it."""
    return re.sub(r"^output\.\w+", "output.it", key).replace("camera.", "camera.door.")


def keys_of(model: type[BaseModel], prefix: str) -> set[str]:
    return {f"{prefix}.{name}" for name in model.model_fields}


def test_every_key_has_a_row():
    keys = keys_of(CameraConfig, "camera") - {f"camera.{part}" for part in ("mask", "attention", "drowsiness")}
    for name, section in Config.model_fields.items():
        if name not in ("camera", "output"):
            keys |= keys_of(section.annotation, name)
    for kind, model in OUTPUT_KINDS.items():
        keys |= keys_of(model, f"output.{kind}") - {f"output.{kind}.kind"}  # in the base of each row of theirs
    assert {row.key for row in ROWS} == keys


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.key}-{row.fact}" for row in ROWS])
def test_the_key_has_an_effect(row, tmp_path, monkeypatch):
    before = play(row, tmp_path / "before", {}, monkeypatch)
    after = play(row, tmp_path / "after", {written(row.key): row.value}, monkeypatch)
    assert (before, after) == (row.before, row.after)
