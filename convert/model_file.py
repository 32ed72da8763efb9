"""Finds the model that a command is told: by its name in the manifest, or as an ONNX file that stands for one of these."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from convert.whole_file import read_whole
from edged.errors import UsageError
from edged.inference import Manifest, ModelEntry
from edged.inference.manifest import MAX_MODEL_BYTES


@dataclass(frozen=True)
class NamedModel:
    """An ONNX model, and the manifest's entry that says what its inputs and outputs mean."""

    path: Path
    data: bytes
    entry: ModelEntry

    @property
    def name(self) -> str:
        """In the manifest."""
        return self.entry.name


def find_model(told: str, manifest: Manifest, stands_for: str | None = None) -> NamedModel:
    """The model that `told` names, or that lies in the file `told`; `stands_for` is whose entry describes such a file.

    Raise ModelError for a name that the manifest lacks or a file of it that was altered, and UsageError for another file
    that cannot be read, or of which nobody says what it is.
    """
    path = Path(told)
    if path.suffix != ".onnx" and not path.is_file():
        entry = manifest.entry(told)
        return NamedModel(manifest.directory / entry.file, manifest.verified_bytes(told), entry)
    data = read_whole(path, MAX_MODEL_BYTES, "name a model or an ONNX file")
    if stands_for is not None:
        return NamedModel(path, data, manifest.entry(stands_for))
    sha256 = hashlib.sha256(data).hexdigest()
    listed = next((entry for entry in manifest.entries.values() if entry.sha256 == sha256), None)
    if listed is None:
        known = ", ".join(manifest.entries)
        raise UsageError(
            f"{path}: not a file that {manifest.directory / 'manifest.toml'} lists; say with --as which of its models "
            f"this one stands for: {known}"
        )
    return NamedModel(path, data, listed)
