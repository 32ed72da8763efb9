"""Reads `engines/manifest.toml` and hands out model bytes whose sha256 has been checked; parses no model."""

import hashlib
import os
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edged.errors import ModelError
from edged.toml import load_toml

MAX_MODEL_BYTES = 512 * 1024 * 1024
MOST_HASH_BYTES = 1024
HASH_LINE = re.compile(rb"([0-9a-f]{64})\s")


class NotBuiltError(ModelError):
    """The model, or all of them, was never built here; no mistake unless it was requested."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorEntry(_Entry):
    """One input or output: numpy dtype and shape; a string in the shape is a size known only at run time."""

    dtype: str
    shape: tuple[int | str, ...]


class ProfileEntry(_Entry):
    """The shapes of one input that a GPU engine is built for: smallest, most usual, largest."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    @model_validator(mode="after")
    def _grows(self) -> "ProfileEntry":
        if not len(self.min) == len(self.opt) == len(self.max):
            raise ValueError("min, opt and max need equally many sizes")
        if not all(1 <= low <= usual <= high for low, usual, high in zip(self.min, self.opt, self.max, strict=True)):
            raise ValueError("sizes must be at least 1, and grow from min over opt to max")
        return self

    def fits(self, shape: tuple[int | str, ...]) -> bool:
        """Whether it is a profile for an input of `shape`: known sizes are the same in all three."""
        return len(shape) == len(self.min) and all(
            isinstance(size, str) or low == usual == high == size
            for size, low, usual, high in zip(shape, self.min, self.opt, self.max, strict=True)
        )


class AgreementEntry(_Entry):
    """What some numbers of an output mean, and so how far backends may differ in them."""

    unit: Literal["probability", "logit", "pixels", "degrees"]
    """Points and lengths in `pixels` of what the model sees, angles in `degrees`, once multiplied by `scale`."""
    channels: tuple[int, int] | None = None
    """First and one after the last index along axis 1; all, if not given."""
    scale: float = Field(1.0, gt=0)
    sure: int | None = None
    """Index along axis 1 of a probability: only where it is one half or more do the numbers mean anything."""


class ModelEntry(_Entry):
    """Everything that must be known to use one model file correctly."""

    name: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.onnx$")
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    """Of a model that is trained locally, the hash that stands beside its file; empty where none does."""
    task: Literal["face-detection", "face-rescoring", "mask-state", "keypoints", "eye-state", "head-pose"]
    built_locally: bool = False
    """True for files that are built on each machine because their weights are others', or because they are large."""
    trained_locally: bool = False
    """True for files that each user trains: no two are the same, so their hash is in `hash_file`, not here."""
    precision: Literal["fp16", "fp32"] = "fp16"
    """What GPU engines of it compute in: "fp32" where half precision costs accuracy."""
    remedy: str = ""
    """How a checkout builds the file, for people; empty where `make setup` does, or a new installation gives it."""
    inputs: dict[str, TensorEntry]
    outputs: dict[str, TensorEntry]
    profiles: dict[str, ProfileEntry] = Field(default_factory=dict)
    """For every input with sizes known only at run time."""
    agreement: dict[str, tuple[AgreementEntry, ...]] = Field(default_factory=dict)
    """By output; of these, only what is named is compared, and of outputs not named everything, by its size."""
    classes: tuple[str, ...] = ()
    preprocessing: str
    licence: str
    training_data: str
    card: str
    figures: dict[str, float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tables_fit(self) -> "ModelEntry":
        wrong = [key for key, profile in self.profiles.items() if not self._has_profile(key, profile)]
        unknown = sorted(self.agreement.keys() - self.outputs.keys())
        if wrong or unknown:
            raise ValueError(f"profiles of {wrong} or agreement of {unknown} fit no input or output of {self.name}")
        return self

    @model_validator(mode="after")
    def _hash_is_known(self) -> "ModelEntry":
        if self.trained_locally and not self.built_locally:
            raise ValueError(f"{self.name}: what is trained locally is built locally")
        if self.trained_locally == bool(self.sha256):
            raise ValueError(f"{self.name}: needs a sha256, or trained_locally = true, and not both")
        return self

    @property
    def hash_file(self) -> str:
        """What holds the hash of a model that is trained locally: one line, as sha256sum writes it."""
        return f"{self.file}.sha256"

    def _has_profile(self, key: str, profile: ProfileEntry) -> bool:
        return key in self.inputs and profile.fits(self.inputs[key].shape)


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

    def is_there(self, name: str) -> bool:
        """Whether the model's file is there, whatever it holds."""
        return (self.directory / self.entry(name).file).exists()

    def remedy(self, name: str) -> str:
        """What a person does to get the file of a model that is missing or altered."""
        entry = self.entry(name)
        if not entry.built_locally:
            return "reinstall edged"
        if (self.directory.parent / "Makefile").is_file():
            return entry.remedy or "run `make setup`, which builds it"
        how = entry.remedy or "run `make setup`"
        files = "the file" if not entry.trained_locally else f"the file and {entry.hash_file}"
        return (
            f"it is no part of an installation: in a checkout of edged, {how}; then copy {files} into {self.directory}"
        )

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
            raise ModelError(f"{path}: cannot be read ({error.strerror}); {self.remedy(name)}") from None
        if not entry.sha256:
            raise ModelError(f"{path}: no {entry.hash_file} says which file was checked; {self.remedy(name)}")
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise ModelError(
                f"{path}: sha256 is {found[:12]}…, recorded is {entry.sha256[:12]}…; "
                f"the file is not the one that was checked; {self.remedy(name)}"
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
        entries = {name: _entry(directory, ModelEntry(name=name, **fields)) for name, fields in raw["model"].items()}
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ModelError(f"{path}: not a valid manifest ({error}); reinstall edged") from None
    return Manifest(directory, entries)


def _entry(directory: Path, entry: ModelEntry) -> ModelEntry:
    """The entry, with the hash that stands beside the file of a model that is trained locally."""
    if not entry.trained_locally:
        return entry
    try:
        with (directory / entry.hash_file).open("rb") as file:
            line = HASH_LINE.match(file.read(MOST_HASH_BYTES))
    except OSError:
        return entry
    return entry.model_copy(update={"sha256": line[1].decode()}) if line else entry
