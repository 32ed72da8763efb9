"""Reads a TOML file on every supported Python, with a bound on its size."""

import sys
from pathlib import Path
from typing import Any

from edged.files import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_TOML_BYTES = 256 * 1024


def load_toml(path: Path) -> dict[str, Any]:
    """Parse `path`. Raise OSError when unreadable, ValueError when too large, not UTF-8, nested too deep or not TOML."""
    data = read_regular(path, MAX_TOML_BYTES)
    try:
        return tomllib.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
