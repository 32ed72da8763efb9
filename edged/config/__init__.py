"""The config: one TOML file, validated as a whole into frozen models before anything starts."""

from edged.config.load import config_path, config_sha256, load_config
from edged.config.model import (
    DETECTORS,
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
    "DETECTORS",
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
