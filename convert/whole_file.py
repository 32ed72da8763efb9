"""Writes files whole or not at all, whatever happens in the middle."""

import os
import tempfile
from pathlib import Path

from edged.errors import Failed


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`: temporary file, fsync, rename. Raise Failed, leaving what was there, when it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failed(f"{path}: cannot be written ({error.strerror}); name another --out") from None
