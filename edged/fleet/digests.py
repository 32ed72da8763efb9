"""Holds files against the hashes in their manifests, many at once."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edged.export.manifest import DataFile
from edged.files import open_regular

HASHERS, FILES_AT_ONCE = 4, 64
"""Threads that read files for their hashes, and how many files each takes on at once."""
READ_BYTES = 1 << 20


def faults_of(requested: Mapping[Path, DataFile]) -> dict[Path, tuple[str, str]]:
    """Of the files that are not what their manifests say: the kind of trouble and its text, by path."""
    pairs = list(requested.items())
    parts = [pairs[first : first + FILES_AT_ONCE] for first in range(0, len(pairs), FILES_AT_ONCE)]
    with ThreadPoolExecutor(HASHERS) as pool:
        return {path: fault for part in pool.map(_faults, parts) for path, fault in part}


def _faults(files: Sequence[tuple[Path, DataFile]]) -> list[tuple[Path, tuple[str, str]]]:
    return [(path, fault) for path, file in files if (fault := _fault(path, file))]


def _fault(path: Path, file: DataFile) -> tuple[str, str] | None:
    try:
        digest, size = digest_of(path)
    except OSError as error:
        return "file", f"{path.name} cannot be read ({error.strerror})"
    if size != file.bytes:
        return "file", f"{path.name} has {size} bytes instead of {file.bytes}"
    return None if digest == file.sha256 else ("file", f"{path.name} was altered")


def digest_of(path: Path) -> tuple[str, int]:
    """The SHA-256 of a regular file, and its bytes. Raise OSError."""
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as data:
        while part := data.read(READ_BYTES):
            digest.update(part)
            size += len(part)
    return digest.hexdigest(), size
