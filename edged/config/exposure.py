"""Finds config, password and key files that every user of the machine may read or change."""

import stat
from collections.abc import Iterator
from pathlib import Path

from edged.config.model import Config
from edged.config.source import has_password


def exposures(path: Path, config: Config) -> list[str]:
    """One line for each file that others may read or change and should not: `path`, which `config` was read from, first."""
    inline = any(has_password(camera.source) for camera in config.camera.values())
    found = [*_exposed("the config", path, secret=inline)]
    for key, file in _secret_files(config):
        found += _exposed(f"key {key}", file, secret=True)
    return list(dict.fromkeys(found))


def _secret_files(config: Config) -> Iterator[tuple[str, Path]]:
    for key, file in (
        ("mqtt.password_file", config.mqtt.password_file),
        ("mqtt.key_file", config.mqtt.key_file),
        ("console.key_file", config.console.key_file),
        ("webhook.secret_file", config.webhook.secret_file),
        ("mail.password_file", config.mail.password_file),
    ):
        if file is not None:
            yield key, file
    for name, camera in config.camera.items():
        if camera.credentials_file is not None:
            yield f"camera.{name}.credentials_file", camera.credentials_file


def _exposed(what: str, path: Path, *, secret: bool) -> Iterator[str]:
    """Files that are missing or cannot be examined are reported by the code that reads them."""
    try:
        folders = path.resolve().parents
        if not all(folder.stat().st_mode & stat.S_IXOTH for folder in folders):
            return  # other users cannot reach the file
        mode, folder_mode = path.stat().st_mode, folders[0].stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH:
        yield f"{what}: every user of this machine can change {path}; run `chmod o-rw {path}`"
    elif folder_mode & stat.S_IWOTH and not folder_mode & stat.S_ISVTX:
        yield f"{what}: every user of this machine can replace {path}; run `chmod o-w {folders[0]}`"
    elif secret and mode & stat.S_IROTH:
        yield f"{what}: every user of this machine can read {path}, which holds a secret; run `chmod o-r {path}`"
