"""Reads `engines/manifest.toml` and hands out model bytes whose sha256 has been checked; parses no model."""

import hashlib
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edged.errors import ModelError
from edged.toml import load_toml

MAX_MODEL_BYTES = 512 * 1024 * 1024


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorEntry(_Entry):
    """One input or output: numpy dtype and shape; a string in the shape is a size known only at run time."""

    dtype: str
    shape: tuple[int | str, ...]


class ModelEntry(_Entry):
    """Everything that must be known to use one model file correctly."""

    name: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    task: Literal["face-detection", "mask-state", "keypoints", "eye-state", "head-pose"]
    built_locally: bool = False
    """True for files that are built on each machine because their weights are others'."""
    remedy: str = ""
    """How to get the file, for people; empty where `make setup` (built locally) or a new installation gives it."""
    inputs: dict[str, TensorEntry]
    outputs: dict[str, TensorEntry]
    classes: tuple[str, ...] = ()
    preprocessing: str
    licence: str
    training_data: str
    card: str
    figures: dict[str, float | str] = Field(default_factory=dict)


class Manifest:
    """The models of one engines directory, by name."""

    def __init__(self, directory: Path, entries: dict[str, ModelEntry]) -> None:
        self.directory = directory
        self.entries = entries

    def entry(self, name: str) -> ModelEntry:
        """The entry called `name`. Raise ModelError naming the known ones."""
        try:
            return self.entries[name]
        except KeyError:
            known = ", ".join(sorted(self.entries))
            raise ModelError(f"{self.directory / 'manifest.toml'}: no model {name!r}; it lists: {known}") from None

    def verified_bytes(self, name: str) -> bytes:
        """The model file's bytes, if they hash to what the manifest says; raise ModelError otherwise."""
        entry = self.entry(name)
        path = self.directory / entry.file
        try:
            size = path.stat().st_size
            if size > MAX_MODEL_BYTES:
                raise ModelError(f"{path}: {size} bytes is more than a model of ours can have; restore the file")
            data = path.read_bytes()
        except OSError as error:
            usual = "run `make setup`, which builds it" if entry.built_locally else "reinstall edged"
            remedy = entry.remedy or usual
            raise ModelError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise ModelError(
                f"{path}: sha256 is {found[:12]}…, the manifest says {entry.sha256[:12]}…; "
                f"the file is not the one that was checked: restore it, or {entry.remedy or 'run `make setup`'}"
            )
        return data


def default_engines_dir() -> Path:
    """`EDGED_ENGINES`, else the directory inside the installed package, else the source checkout's."""
    override = os.environ.get("EDGED_ENGINES")
    if override:
        return Path(override)
    package = Path(__file__).parents[1]
    inside = package / "engines"
    return inside if inside.is_dir() else package.parent / "engines"


def load_manifest(directory: Path) -> Manifest:
    """Read and validate `manifest.toml` in `directory`; raise ModelError when it is missing or wrong."""
    path = directory / "manifest.toml"
    try:
        raw = load_toml(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); reinstall edged") from None
    try:
        entries = {name: ModelEntry(name=name, **fields) for name, fields in raw["model"].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ModelError(f"{path}: not a valid manifest ({error}); reinstall edged") from None
    return Manifest(directory, entries)
