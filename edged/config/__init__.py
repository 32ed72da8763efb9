"""The config: one TOML file, validated as a whole into frozen models before anything starts."""

from edged.config.console import ConsoleConfig
from edged.config.doubts import doubts
from edged.config.export import ExportConfig
from edged.config.exposure import exposures
from edged.config.layers import Layered, load_config, load_layered
from edged.config.load import config_path, config_sha256
from edged.config.model import (
    DETECTORS,
    LOST_S,
    CameraConfig,
    Config,
    DeviceConfig,
    EventsConfig,
    ModelsConfig,
    MqttConfig,
    ReportConfig,
    StoreConfig,
)
from edged.config.notify import MailConfig, WebhookConfig
from edged.config.output import (
    ButtonInput,
    DoorOutput,
    GpioOutput,
    OutputConfig,
    Rule,
    SoundOutput,
)
from edged.config.privacy import PrivacyConfig
from edged.config.signals import AttentionConfig, DrowsinessConfig, KindConfig, MaskConfig, Tasks

__all__ = [
    "DETECTORS",
    "LOST_S",
    "AttentionConfig",
    "ButtonInput",
    "CameraConfig",
    "Config",
    "ConsoleConfig",
    "DeviceConfig",
    "DoorOutput",
    "DrowsinessConfig",
    "EventsConfig",
    "ExportConfig",
    "GpioOutput",
    "KindConfig",
    "Layered",
    "MailConfig",
    "MaskConfig",
    "ModelsConfig",
    "MqttConfig",
    "OutputConfig",
    "PrivacyConfig",
    "ReportConfig",
    "Rule",
    "SoundOutput",
    "StoreConfig",
    "Tasks",
    "WebhookConfig",
    "config_path",
    "config_sha256",
    "doubts",
    "exposures",
    "load_config",
    "load_layered",
]
