"""The frozen models behind every key of the config file: names, types, limits, defaults and their descriptions."""

import os
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationInfo, field_validator, model_validator

from edged.config.address import check_host, check_url
from edged.config.console import ConsoleConfig
from edged.config.export import ExportConfig
from edged.config.nearest import not_a_zone
from edged.config.notify import WAITING_FOR_MAIL, WAITING_FOR_WEBHOOK, MailConfig, WebhookConfig
from edged.config.output import TIME_OF_DAY, OutputConfig, TimeOfDay, check_outputs
from edged.config.privacy import PrivacyConfig
from edged.config.section import Fraction, Identifier, Line, Seconds, Section
from edged.config.signals import (
    LEAST_FPS_FOR_ATTENTION,
    LEAST_FPS_FOR_DROWSINESS,
    PROFILES,
    AttentionConfig,
    DrowsinessConfig,
    MaskConfig,
    Profile,
    Tasks,
)
from edged.config.source import STREAMS, check_source, has_password
from edged.types import FIELD_OF_VIEW


class DeviceConfig(Section):
    """Who this box is."""

    id: Identifier = Field("auto", description='Name in MQTT topics; "auto" makes one from the machine id')
    name: Line = Field("edged", min_length=1, max_length=64, description="Name for people")
    trust_clock: bool = Field(
        False, description="Believe the clock without systemd-timesyncd's word: for chrony, an RTC or a GPS"
    )


class CameraConfig(Section):
    """One camera; `[defaults]` gives the keys a camera leaves out."""

    source: str = Field(description="URI of the camera; `edged cameras` prints those that are attached")
    name: Line | None = Field(
        None, min_length=1, max_length=64, description="Name for people, in Home Assistant and on the report"
    )
    rotation: Literal[0, 90, 180, 270] = Field(0, description="Degrees clockwise to turn each picture")
    flip: Literal["none", "horizontal", "vertical"] = Field(
        "none", description="Mirror each picture, once it is turned: left and right, or top and bottom"
    )
    region: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        (0.0, 0.0, 1.0, 1.0), description="Part of the picture to watch: left, top, right, bottom, from 0 to 1"
    )
    fps: Annotated[float, Field(ge=0.5, le=120)] = Field(15, description="Most pictures analysed a second")
    smallest_face: Annotated[float, Field(ge=12, le=2000)] | None = Field(
        None, description="Smallest face looked for in this camera's pictures, in pixels; none: that of [models]"
    )
    stall_seconds: Annotated[float, Field(ge=1, le=300)] = Field(
        5, description="No picture for this long is a stalled camera"
    )
    credentials_file: Path | None = Field(
        None, description="File with one line, user:password, for an rtsp camera; readable by edged's user only"
    )
    transport: Literal["auto", "tcp", "udp"] = Field(
        "auto", description='How an rtsp camera\'s pictures travel; "auto": TCP, and UDP where the camera refuses that'
    )
    reset: bool = Field(
        False,
        description="When opening a lost camera again and again fails, reset its USB device or restart nvargus-daemon",
    )
    profile: Profile = Field(
        "entrance", description='What is followed: "entrance" mask, "classroom" also attention, "driver" drowsiness'
    )
    field_of_view: Annotated[float, Field(ge=10, le=170)] = Field(
        FIELD_OF_VIEW, description="Degrees that the camera's whole picture spans from left to right"
    )
    mask: MaskConfig = Field(default_factory=MaskConfig, description="Overrides of [mask] for this camera")
    attention: AttentionConfig = Field(
        default_factory=AttentionConfig, description="Overrides of [attention] for this camera"
    )
    drowsiness: DrowsinessConfig = Field(
        default_factory=DrowsinessConfig, description="Overrides of [drowsiness] for this camera"
    )

    @property
    def tasks(self) -> Tasks:
        """What this camera follows: that of its profile, unless `enabled` says otherwise."""
        usual = PROFILES[self.profile]
        return Tasks(
            mask=usual.mask if self.mask.enabled is None else self.mask.enabled,
            attention=usual.attention if self.attention.enabled is None else self.attention.enabled,
            drowsiness=usual.drowsiness if self.drowsiness.enabled is None else self.drowsiness.enabled,
            one_person=usual.one_person,
        )

    @field_validator("source")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        return check_source(value)

    @field_validator("region")
    @classmethod
    def _not_empty(cls, value: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        left, top, right, bottom = value
        if right - left < 0.05 or bottom - top < 0.05:
            raise ValueError("left, top, right, bottom must leave at least a twentieth of the picture")
        return value

    @model_validator(mode="after")
    def _transport_of_a_stream(self) -> "CameraConfig":
        if self.transport == "udp" and self.source.startswith("rtsps:"):
            raise ValueError('transport = "udp" is for rtsp cameras: rtsps encrypts, and travels over TCP')
        return self

    @model_validator(mode="after")
    def _one_password(self) -> "CameraConfig":
        if self.credentials_file is not None:
            if not self.source.startswith(STREAMS):
                raise ValueError("credentials_file is for rtsp and rtsps cameras")
            if has_password(self.source):
                raise ValueError("source holds a user and password already: take them out, or credentials_file")
        return self

    @model_validator(mode="after")
    def _fast_enough(self) -> "CameraConfig":
        for name, requested, least in (
            ("attention", self.tasks.attention, LEAST_FPS_FOR_ATTENTION),
            ("drowsiness", self.tasks.drowsiness, LEAST_FPS_FOR_DROWSINESS),
        ):
            if requested and self.fps < least:
                raise ValueError(f"fps = {self.fps:g} is too slow for {name}; set fps = {least:g} or more")
        return self


DetectorName = Literal["edged", "mtcnn", "retinaface"]
DETECTORS: tuple[str, ...] = get_args(DetectorName)
MaskName = Literal["edged", "resnet50", "xception", "mobilenet"]
LandmarksName = Literal["edged", "efficientnet"]
PoseName = Literal["edged", "heatmap", "pnp6"]
BackendName = Literal["auto", "onnxruntime", "tensorrt"]
ProviderName = Literal[
    "CUDAExecutionProvider", "OpenVINOExecutionProvider", "TensorrtExecutionProvider", "XnnpackExecutionProvider"
]


class ModelsConfig(Section):
    """Which models run, and how."""

    detector: DetectorName = Field("edged", description="The face detector")
    smallest_face: Annotated[float, Field(ge=12, le=2000)] = Field(
        24, description="Smallest face looked for, in pixels; the cost grows with its inverse square"
    )
    least_score: Annotated[float, Field(ge=0.02, le=0.95)] = Field(
        0.35,
        description="Faces found with less are dropped; a new face needs more, by detector, before anything is said",
    )
    mask: MaskName = Field(
        "edged", description="What classifies how masks are worn; all but edged must be trained first"
    )
    landmarks: LandmarksName = Field(
        "edged", description="What finds 68 points of a face; efficientnet must be trained first"
    )
    pose: PoseName = Field("edged", description="What estimates where heads point")
    threads: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="CPU threads for the models; 0: one for each processor that edged may use"
    )
    backend: BackendName = Field(
        "auto",
        description='What runs the models: "onnxruntime", "tensorrt", or by model the faster one of what is there',
    )
    dla_core: Annotated[int, Field(ge=0, le=3)] | None = Field(
        None, description="Core of a Jetson's accelerator (DLA) that TensorRT uses; what it cannot do runs on the GPU"
    )
    providers: tuple[ProviderName, ...] = Field(
        (), description="Execution providers that ONNX Runtime tries before the CPU; TensorRT itself is then not used"
    )

    @model_validator(mode="after")
    def _one_way(self) -> "ModelsConfig":
        if self.dla_core is not None and (self.backend == "onnxruntime" or self.providers):
            raise ValueError(
                'dla_core is for TensorRT, which backend = "onnxruntime" and providers leave out: take one of them out'
            )
        if self.providers and self.backend == "tensorrt":
            raise ValueError('providers are for ONNX Runtime: take them out, or set backend = "onnxruntime"')
        if len(set(self.providers)) < len(self.providers):
            raise ValueError(f"providers = {list(self.providers)} names one twice")
        return self

    @property
    def tries_tensorrt(self) -> bool:
        """Whether engines of TensorRT may take over: not where the config names the one way to run models."""
        return self.backend != "onnxruntime" and not self.providers


LOST_S = 0.8
LOST_OF_DRIVERS_S = 3.0
"""Somebody who looks over the shoulder comes back as the same one, with the minute of PERCLOS seen so far."""


class EventsConfig(Section):
    """What counts as one person's passage."""

    lost_seconds: Annotated[float, Field(gt=0, le=60)] | None = Field(
        None, description="A face out of sight for this long is gone; left out: 0.8, and 3 where drowsiness is followed"
    )
    encounter_seconds: Seconds = Field(0.5, description="A face seen for less is not an encounter")
    longest_seconds: Annotated[float, Field(ge=10, le=86_400)] = Field(
        600, description="An event that lasts longer is ended"
    )
    static_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        60, description="A face that has not moved at all for this long is a picture and no person; 0: all are people"
    )

    def patience_s(self, tasks: Tasks) -> float:
        """After how long out of sight a face is gone, before a camera that follows `tasks`."""
        if self.lost_seconds is not None:
            return self.lost_seconds
        return LOST_OF_DRIVERS_S if tasks.drowsiness else LOST_S


LONGEST_STORE_NAME = 100
"""In bytes. A file's name may have 255; backups and quarantined files add to this one, and a socket's whole path may have 107."""

RESERVED = ("ballast", "backups", "config", "engines", "export", "outputs.json", "quarantine")


class StoreConfig(Section):
    """Where events are kept, and for how long."""

    path: Path = Field(Path("/var/lib/edged/edged.db"), description="The SQLite database")
    retention_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        90, description="Events and encounters older than this are deleted"
    )
    backups: Annotated[int, Field(ge=0, le=30)] = Field(3, description="Daily backups kept beside the database")
    outbox_limit: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        200_000,
        description="Most messages waiting for the broker; beyond it the oldest updates go first, and are counted",
    )

    @field_validator("path")
    @classmethod
    def _a_file(cls, value: Path) -> Path:
        if value.name in ("", "..") or str(value).startswith((":memory:", "file:")):
            raise ValueError('must be the path of a file, such as "/var/lib/edged/edged.db"')
        if value.name in RESERVED or value.suffix in (
            ".lock",
            ".partial",
            ".sock",
        ):
            raise ValueError("is a name that edged uses beside the database; end it in .db")
        if value.parts[0].startswith("~"):
            raise ValueError("~ stands for no folder here; write the whole path, from / on")
        if len(os.fsencode(value.name)) > LONGEST_STORE_NAME:
            raise ValueError(f"the file's name is too long; use {LONGEST_STORE_NAME} characters at most")
        return value


TLS_PORT, PLAIN_PORT = 8883, 1883
TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_/-]{0,62}$")]


class MqttConfig(Section):
    """The broker; without `host` nothing is published."""

    host: str | None = Field(None, min_length=1, max_length=253, description="Broker's name or address")
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="1883, or 8883 with TLS, when left out"
    )
    version: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version")
    prefix: TopicPrefix = Field("edged", description="First part of every topic")
    username: str | None = Field(None, min_length=1, description="Name for the broker")
    password_file: Path | None = Field(
        None, description="File with the password; the systemd credential `mqtt_password` is used when left out"
    )
    tls: bool = Field(False, description="Encrypt, and check the broker's certificate")
    ca_file: Path | None = Field(None, description="Certificate authority, for a broker with a private one")
    cert_file: Path | None = Field(None, description="This device's certificate")
    key_file: Path | None = Field(None, description="This device's private key")
    keepalive_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        30, description="A silent device is offline after 1.5 times this"
    )
    discovery: bool = Field(True, description="Tell Home Assistant about this device")
    discovery_prefix: TopicPrefix = Field("homeassistant", description="Home Assistant's discovery prefix")

    configuration_url: str | None = Field(
        None, max_length=500, description="Address of a page about this device, to which Home Assistant links"
    )

    @field_validator("configuration_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None:
            check_url(value)
        return value

    @field_validator("host")
    @classmethod
    def _name_alone(cls, value: str | None) -> str | None:
        return None if value is None else check_host(value)

    @model_validator(mode="after")
    def _whole(self) -> "MqttConfig":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together: give both, or neither")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file, cert_file and key_file need tls = true")
        if self.password_file and not self.username:
            raise ValueError("password_file needs username")
        return self

    @property
    def effective_port(self) -> int:
        return self.port or (TLS_PORT if self.tls else PLAIN_PORT)


class ReportConfig(Section):
    """The daily compliance report."""

    site: Line = Field("", max_length=100, description="Heading of the report; device.name when left out")
    timezone: str = Field("UTC", description="IANA name of the zone whose days are reported, as in Europe/Madrid")
    open_from: TimeOfDay = Field("00:00", description="Local time from which the site is watched")
    open_until: Annotated[str, Field(pattern=f"{TIME_OF_DAY}|^24:00$")] = Field(
        "24:00", description="Local time until which the site is watched"
    )
    target_percent: Annotated[float, Field(ge=0, le=100)] | None = Field(
        None, description="The site's own requirement, if it has one"
    )
    requirement: Line = Field("", max_length=300, description="The rule in the site's own words, printed on the report")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(not_a_zone(value)) from None
        return value

    @model_validator(mode="after")
    def _open_before_close(self) -> "ReportConfig":
        if self.open_from >= self.open_until:
            raise ValueError(
                f"open_from = {self.open_from} must be before open_until = {self.open_until}: a report is of one day, "
                "from midnight to midnight; for a night leave both out, and read the hours of two days"
            )
        return self


class Config(Section):
    """The whole file. `camera` holds each camera with `[defaults]` and the tables about people already merged in."""

    device: DeviceConfig = Field(default_factory=DeviceConfig)
    camera: dict[Identifier, CameraConfig] = Field(default_factory=dict)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    mask: MaskConfig = Field(default_factory=MaskConfig)
    attention: AttentionConfig = Field(default_factory=AttentionConfig)
    drowsiness: DrowsinessConfig = Field(default_factory=DrowsinessConfig)
    events: EventsConfig = Field(default_factory=EventsConfig)
    store: StoreConfig = Field(default_factory=StoreConfig)
    mqtt: MqttConfig = Field(default_factory=MqttConfig)
    report: ReportConfig = Field(default_factory=ReportConfig)
    export: ExportConfig = Field(default_factory=ExportConfig)
    privacy: PrivacyConfig = Field(default_factory=PrivacyConfig)
    console: ConsoleConfig = Field(default_factory=ConsoleConfig)
    output: dict[Identifier, OutputConfig] = Field(default_factory=dict)
    webhook: WebhookConfig = Field(default_factory=WebhookConfig)
    mail: MailConfig = Field(default_factory=MailConfig)

    @field_validator("camera")
    @classmethod
    def _bounded(cls, value: dict[str, CameraConfig]) -> dict[str, CameraConfig]:
        if len(value) > 16:
            raise ValueError("at most 16 cameras on one device")
        spelled: dict[str, str] = {}
        for name in value:
            if (other := spelled.setdefault(name.lower(), name)) != name:
                raise ValueError(
                    f"names {other} and {name} differ in capitals only: rename one, or many programs mix them up"
                )
        return value

    @field_validator("output")
    @classmethod
    def _outputs_fit(cls, value: dict[str, OutputConfig], info: ValidationInfo) -> dict[str, OutputConfig]:
        if "camera" in info.data:
            check_outputs(value, set(info.data["camera"]))
        return value

    @property
    def channels(self) -> dict[str, int]:
        """The configured ways out of the device, and how many messages may wait for each."""
        limits = {
            "mqtt": self.mqtt.host and self.store.outbox_limit,
            "webhook": self.webhook.url and WAITING_FOR_WEBHOOK,
            "mail": self.mail.host and WAITING_FOR_MAIL,
        }
        return {channel: int(limit) for channel, limit in limits.items() if limit}
