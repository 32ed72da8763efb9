"""The config: one TOML file, validated as a whole into frozen models before anything starts."""

from edged.config.load import config_path, config_sha256, load_config
from edged.config.model import (
    CameraConfig,
    Config,
    DeviceConfig,
    EventsConfig,
    MaskConfig,
    ModelsConfig,
    MqttConfig,
    ReportConfig,
    StoreConfig,
)

__all__ = [
    "CameraConfig",
    "Config",
    "DeviceConfig",
    "EventsConfig",
    "MaskConfig",
    "ModelsConfig",
    "MqttConfig",
    "ReportConfig",
    "StoreConfig",
    "config_path",
    "config_sha256",
    "load_config",
]
