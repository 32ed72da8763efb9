"""Takes the first edged.toml found, and says on the partition what came of it."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edged.config.source import redact
from edged.errors import ConfigError
from edged.firstboot.place import ERROR, Found, find, leave, set_aside
from edged.firstboot.settings import Settings, settings_of
from edged.firstboot.text import with_line
from edged.firstboot.write import FOLDER, apply
from edged.host.device import device_id
from edged.publish import check_mqtt
from edged.toml import dump_toml, parse_toml

log = logging.getLogger(__name__)

SEEN = Path("etc/edged/.imported")
"""Hashes of the files that were dealt with: a partition that takes no writing keeps its file, which must not come back."""

MOST_SEEN = 16
BLANKED = ("password", "key", "secret", "url")
"""A webhook's address may hold a token."""
HIDDEN = "***"


def import_settings(folders: Sequence[Path], root: Path) -> bool:
    """Deal with the edged.toml of the first of `folders` that has a new one; the others count as seen.

    True when settings were applied. Everything stays as it was when the file has a mistake.
    """
    new = [found for found in (find(folder) for folder in folders) if found and _hash(found) not in _seen(root)]
    if not new:
        return False
    found, *passed_over = new
    applied = _take(found, root)
    for other in passed_over if applied else []:
        log.warning("%s: passed over, since %s was taken", other.folder / other.name, found.folder / found.name)
    if applied:
        _remember(root, new)
    return applied


def _take(found: Found, root: Path) -> bool:
    path = found.folder / found.name
    try:
        if found.problem is not None:
            raise ConfigError(found.problem)
        raw = parse_toml(found.data)
        settings = settings_of(raw, path, Path("/") / FOLDER)
        check_mqtt_of(settings)
        apply(settings, root)
    except (ConfigError, ValueError) as error:
        text = found.data.decode("utf-8-sig", errors="replace")
        told = [with_line(line, text) for line in str(error).splitlines()]
        _tell(found, told)
        return False
    except OSError as error:
        _tell(found, [f"this box cannot write its settings ({error.strerror}); nothing was changed"])
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


def _tell(found: Found, mistakes: Sequence[str]) -> None:
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


def _hash(found: Found) -> str:
    return hashlib.sha256(found.data).hexdigest()


def _seen(root: Path) -> list[str]:
    try:
        return (root / SEEN).read_text().split()
    except OSError:
        return []


def _remember(root: Path, found: Sequence[Found]) -> None:
    kept = [*_seen(root), *map(_hash, found)][-MOST_SEEN:]
    (root / SEEN).write_text("\n".join(kept) + "\n")


def introduce(folders: Sequence[Path], root: Path, address: str) -> str:
    """Leave `EDGED-<id>.txt` on the boot partition, and name a box of an image edged-<4 digits>. Gives its name."""
    identity = device_id("auto", root / "etc/machine-id")
    host_file = root / "etc/hostname"
    name = host_file.read_text().strip() if host_file.exists() else "edged"
    if name in ("", "edged", "localhost"):
        name = f"edged-{identity[:4]}"
        host_file.write_text(name + "\n")
    card = f"This box is {identity}.\nIts name in the network: {name}.local\n{address}"
    for folder in folders:
        try:
            if not (folder / f"EDGED-{identity}.txt").exists():
                leave(folder, f"EDGED-{identity}.txt", card)
        except OSError:
            continue
    return name
