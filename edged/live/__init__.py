"""Live pictures for the viewers of a camera: made only then, faces hidden."""

from pathlib import Path


def live_path(database: Path) -> Path:
    """Where the daemon that writes `database` gives live pictures."""
    return database.with_name(database.name + ".live.sock")
