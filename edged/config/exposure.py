"""Finds config, password and key files that every user of the machine may read or change."""

import stat
from collections.abc import Iterator
from pathlib import Path

from edged.config.model import Config
from edged.config.section import Section
from edged.config.source import has_password

SECRETS = ("credentials_file", "key_file", "password_file", "secret_file", "token_file")
"""How the keys end whose files hold a secret."""


def exposures(path: Path, config: Config) -> list[str]:
    """One line for each file that others may read or change and should not: `path`, which `config` was read from, first."""
    inline = any(has_password(camera.source) for camera in config.camera.values())
    inline = inline or config.webhook.url is not None  # it may hold a token
    found = [*_exposed("the config", path, secret=inline)]
    for key, file in _secret_files(config):
        found += _exposed(f"key {key}", file, secret=True)
    return list(dict.fromkeys(found))


def _secret_files(config: Config) -> Iterator[tuple[str, Path]]:
    """Every key that names a file with a secret, known by the end of its name, and that file."""
    tables = {name: getattr(config, name) for name in type(config).model_fields}
    cameras = {f"camera.{name}": camera for name, camera in config.camera.items()}
    for table, section in {**tables, **cameras}.items():
        for key in type(section).model_fields if isinstance(section, Section) else ():
            file = getattr(section, key)
            if key.endswith(SECRETS) and file is not None:
                yield f"{table}.{key}", file


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
