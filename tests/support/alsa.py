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


def pluggable(folder: Path, set_environment: Callable[[str, str], object]) -> Path:
    """A file that is the card: where it is, `aplay` opens it and never ends, except with silence; without it, it says that
    there is none.
    """
    card, programs = folder / "card", folder / "programs"
    programs.mkdir()
    (programs / "aplay").write_text(
        f"""#!/bin/sh
[ -e '{card}' ] || {{ echo 'aplay: main:850: audio open error: No such file or directory' >&2; exit 1; }}
echo "Playing WAVE '/dev/fd/3' : Signed 16 bit Little Endian, Rate 22050 Hz, Mono" >&2
[ "$(stat -Lc %s "$3")" -gt 4000 ] || exit 0  # a moment of silence
exec sleep 600
"""
    )
    (programs / "aplay").chmod(0o755)
    set_environment("PATH", f"{programs}:/usr/bin:/bin")
    return card
