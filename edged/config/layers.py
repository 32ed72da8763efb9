"""Files beside the database that are laid over the user's config by key: what the console, or a tool, changed.

`<folder of the database>/config/` may hold `NN-name.toml` (two digits first) and `console.toml`; they are laid over the
user's file, and over each other, in the order of their names, so that the console has the last word. Nothing ever writes
the user's own file. One that cannot be read, or makes the whole invalid, is left out with one line, and the rest goes on.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.config.load import parse_config, read_tables
from edged.config.model import Config
from edged.errors import ConfigError

log = logging.getLogger(__name__)

CONSOLE = "console.toml"
MOST_LAYERS = 16
_NAME = re.compile(r"\d\d-[\w.-]+\.toml|console\.toml", re.ASCII)


@dataclass(frozen=True, slots=True)
class Layer:
    """One file that is laid over the others."""

    path: Path
    tables: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True, slots=True)
class Layered:
    """A config, and the files that it came from."""

    config: Config
    base: Layer
    """The user's own file."""
    layers: tuple[Layer, ...]
    """Those in force, in the order in which they were laid over it."""
    left_out: tuple[str, ...]
    """One line for each file that is not in force: why, and what to do."""

    @property
    def folder(self) -> Path:
        return layers_folder(self.config)

    @property
    def tables(self) -> dict[str, Any]:
        """What all files say, before defaults are filled in."""
        merged = dict(self.base.tables)
        for layer in self.layers:
            merged = laid_over(merged, layer.tables)
        return merged

    @property
    def sha256(self) -> str:
        """A hash of every file's bytes: another one means that somebody changed a file meanwhile."""
        return hashlib.sha256("".join(file.sha256 for file in (self.base, *self.layers)).encode()).hexdigest()

    def origins(self) -> dict[str, Path]:
        """For each key that a file sets, as `camera.door.fps`, the file whose value holds."""
        return {key: file.path for file in (self.base, *self.layers) for key in flat(file.tables)}


def layers_folder(config: Config) -> Path:
    """Where the layers of the config with such a store lie; it need not be there."""
    return config.store.path.parent / "config"


def load_config(path: Path) -> Config:
    """The validated config of `path` and of the layers over it. Raise ConfigError with one line for each mistake in `path`.

    Every verb and the daemon read their config here; a layer that had to be left out is logged.
    """
    layered = load_layered(path)
    for line in layered.left_out:
        log.warning("%s", line)
    return layered.config


def load_layered(path: Path) -> Layered:
    """Like `load_config`, with the origin of everything; nothing is logged."""
    tables, data = read_tables(path)
    config = parse_config(tables, path, data.decode("utf-8-sig"))
    folder, kept, left_out = layers_folder(config), list[Layer](), list[str]()
    merged = tables
    for file in layer_files(folder, left_out):
        try:
            layer, text = read_layer(file)
            laid = laid_over(merged, layer.tables)
            config = parse_config(laid, file, text)
        except ConfigError as error:
            left_out.append(f"{str(error).splitlines()[0]}; nothing of this file is in force until that is mended")
            continue
        merged = laid
        kept.append(layer)
    return Layered(config, Layer(path, tables, hash_of(data)), tuple(kept), tuple(left_out))


def read_layer(path: Path) -> tuple[Layer, str]:
    """One layer and its text. Raise ConfigError when it cannot be read, is no TOML, or would move its own folder."""
    tables, data = read_tables(path, remedy="")
    store = tables.get("store")
    if isinstance(store, dict) and "path" in store:
        raise ConfigError(f"{path}: key store.path: belongs into the main file, since it says where this one lies")
    return Layer(path, tables, hash_of(data)), data.decode("utf-8-sig")


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key; where both have a value, that of `above` holds."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys in `tables`."""
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def layer_files(folder: Path, left_out: list[str] | None = None) -> list[Path]:
    """The layers there are, in their order; a line for each that is not among them is added to `left_out`."""
    left_out = [] if left_out is None else left_out
    try:
        files = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        left_out.append(
            f"{folder}: cannot be read ({error.strerror}); what the console changed there is not in this config"
        )
        return []
    left_out += [f"{file}: is one of more than {MOST_LAYERS} files; join them" for file in files[MOST_LAYERS:]]
    return files[:MOST_LAYERS]


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
