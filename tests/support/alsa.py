"""A sound card made of a file, under a name of its own: what a config may not name directly."""

from collections.abc import Callable
from pathlib import Path

NAME = "heard"


def heard_in(path: Path, set_environment: Callable[[str, str], object]) -> str:
    """The name of a device whose samples go into `path`, raw, for processes with the environment that is set."""
    settings = path.with_name("asound.conf")
    device = f'type file slave.pcm {{ type null }} file "{path}" format raw'
    settings.write_text(f"pcm.{NAME} {{ {device} }}\npcm.null {{ type null }}\n")
    set_environment("ALSA_CONFIG_PATH", str(settings))
    return NAME
