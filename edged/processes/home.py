"""Where libraries write by themselves: lists of plug-ins, code made at run time, caches of the GPU's driver."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ELSEWHERE = ("XDG_CACHE_HOME", "XDG_RUNTIME_DIR")
"""Libraries that find one of these ignore HOME."""


def live_in(folder: Path) -> None:
    """From now on they write below `folder`, here and in child processes; systemd's units have it so already."""
    os.environ["HOME"] = str(folder)
    for name in ELSEWHERE:
        os.environ.pop(name, None)


@contextmanager
def passing_home() -> Iterator[None]:
    """Have them write into a folder that is gone afterwards. Where none can be made, they write where they will."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edged-", ignore_cleanup_errors=True)
    except OSError:
        yield
        return
    before = {name: os.environ[name] for name in ("HOME", *ELSEWHERE) if name in os.environ}
    with folder as path:
        live_in(Path(path))
        try:
            yield
        finally:
            os.environ.pop("HOME", None)
            os.environ.update(before)
