"""Takes one edged.toml whole, or says beside it what is wrong. What it imports takes a small board a second."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edged.config.source import redact
from edged.errors import ConfigError
from edged.firstboot.place import ERROR, Found, leave, set_aside
from edged.firstboot.settings import Settings, settings_of
from edged.firstboot.text import with_line
from edged.firstboot.write import FOLDER, apply
from edged.publish import check_mqtt
from edged.toml import dump_toml, parse_toml

log = logging.getLogger(__name__)

BLANKED = ("password", "key", "secret", "url")
"""A webhook's address may hold a token."""
HIDDEN = "***"


def take(found: Found, root: Path) -> bool:
    """Put the settings of `found` in force; False when something is wrong with them, and nothing was changed."""
    path = found.folder / found.name
    try:
        if found.problem is not None:
            raise ConfigError(found.problem)
        raw = parse_toml(found.data)
        if not raw:
            raise ConfigError("holds no settings; was the stick pulled out before the file was written?")
        settings = settings_of(raw, path, Path("/") / FOLDER)
        check_mqtt_of(settings)
        apply(settings, root)
    except (ConfigError, ValueError) as error:
        text = found.data.decode("utf-8-sig", errors="replace")
        mistakes = [with_line(line, text) for line in str(error).splitlines()]
        _report(found, mistakes)
        return False
    except OSError as error:
        _report(found, [f"this box cannot write its settings ({error.strerror}); nothing was changed"])
        return False
    log.info("%s: applied", path)
    try:
        set_aside(found, dump_toml(without_secrets(raw)))
    except OSError as error:
        log.warning("%s: cannot be renamed (%s); it is not taken again", path, error.strerror)
    return True


def check_mqtt_of(settings: Settings) -> None:
    """What the daemon would refuse of [mqtt]; the password's file is only about to be written."""
    if "mqtt-password" not in settings.secrets:
        check_mqtt(settings.config.mqtt)


def _report(found: Found, mistakes: Sequence[str]) -> None:
    for line in mistakes:
        log.error("%s: %s", found.folder / found.name, line)
    text = "\n".join([f"{found.name}: nothing of it was taken, and the box runs as before.", *mistakes]) + "\n"
    try:
        leave(found.folder, ERROR, text)
    except OSError as error:
        log.warning("%s cannot be written (%s)", found.folder / ERROR, error.strerror)


def without_secrets(raw: Any) -> Any:
    """The tables with every password and key blanked, also those in addresses."""
    if isinstance(raw, dict):
        return {key: HIDDEN if key in BLANKED else without_secrets(value) for key, value in raw.items()}
    if isinstance(raw, list):
        return [without_secrets(value) for value in raw]
    return redact(raw) if isinstance(raw, str) else raw
