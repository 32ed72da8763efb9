"""What edged-import.service runs: finds the partitions, imports, and says whether the daemon must reload."""

import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edged.firstboot.place import answers, note_stick
from edged.firstboot.run import import_settings, introduce
from edged.processes.program import run

log = logging.getLogger(__name__)

LABELS = Path("/dev/disk/by-label")
STICK, SEED = "EDGED", "CIDATA"
BOOT = (Path("/boot/firmware"), Path("/boot/efi"))
MOUNT_S, UNMOUNT_S, ASK_S = 30.0, 10.0, 10.0
"""So long each may take; two sticks that never answer leave some of the unit's time to what else there is."""
NO_ANSWER = f"it has not answered within {MOUNT_S:g} s"
NOT_READ = "it can be mounted, but a file on it cannot be read; take another stick"
STICK_NOT_READ = (
    f"The stick {STICK} cannot be read. Nothing of it was taken, and the box runs as before."
    " Take another stick, formatted as FAT."
)
USAGE = (
    "edged.firstboot takes no arguments, and nothing was done: edged-import.service runs it, as root; it takes edged.toml from"
    " a stick named EDGED, the boot partition or CIDATA, and writes it into /etc"
)
UNITS = ("edged.service", "edged-console.service")
"""Who reads the settings when it starts. One that ended because of the old ones is idle, and is started."""


@contextmanager
def mounted(label: str) -> Iterator[Path | None]:
    """The partition of that label, where nothing of it can be run; read-only where it takes no writing. None without one."""
    device = LABELS / label
    if not device.exists():
        yield None
        return
    place = Path(tempfile.mkdtemp(prefix="edged-"))
    try:
        refusal = _mount(device, place)
        if refusal is None and not answers(place):
            refusal = NOT_READ
        if refusal is not None:
            log.warning("the partition %s cannot be read: %s", label, refusal)
        yield place if refusal is None else None
    finally:
        if _refusal(["umount", "--", str(place)], UNMOUNT_S) is not None:
            _refusal(["umount", "--lazy", "--", str(place)], UNMOUNT_S)
        with suppress(OSError):
            place.rmdir()  # never with what is in it: a partition that is still mounted there is somebody's stick


def _mount(device: Path, place: Path) -> str | None:
    """Why the device cannot be mounted, None when it is.

    One that does not answer is asked once: the unit's time must do for the other partitions too.
    """
    for way in ("rw", "ro"):
        options = f"{way},nosuid,nodev,noexec,umask=0077"
        refusal = _refusal(["mount", "-t", "vfat,exfat", "-o", options, "--", str(device), str(place)], MOUNT_S)
        if refusal in (None, NO_ANSWER):
            break
    return refusal


def _refusal(command: list[str], seconds: float) -> str | None:
    """Why the command did not do what it was asked, None when it did. A worn stick may never answer."""
    try:
        done = run(command, seconds)
    except subprocess.TimeoutExpired:
        return NO_ANSWER
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    return None if done.returncode == 0 else done.stderr.decode(errors="replace").strip() or "refused"


def main() -> None:
    """Exit code 0 whatever lies on a stick: the box must come up as before."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    os.umask(0o022)
    root = Path("/")
    with ExitStack() as mounts:
        stick, seed = (mounts.enter_context(mounted(label)) for label in (STICK, SEED))
        boot = [path for path in BOOT if path.is_mount()]
        folders = [path for path in (stick, *boot, seed) if path is not None]
        call_it(introduce(boot, root))
        is_plugged_in = stick is not None or (LABELS / STICK).exists()
        for folder in boot if is_plugged_in else ():  # a start without a stick says nothing of the last one
            note_stick(folder, STICK_NOT_READ if stick is None else None)
        applied = import_settings(folders, root)
    if applied:
        notify_the_daemon()


def call_it(name: str) -> None:
    """The box has its name at once: systemd read the image's before, which every box has."""
    if socket.gethostname() != name:
        try:
            socket.sethostname(name)
        except OSError as error:
            log.warning("The name %s holds from the next boot on (%s).", name, error.strerror)
    log.info("This box is called %s.", name)


def notify_the_daemon() -> None:
    """At boot they come up afterwards by themselves; a stick that is plugged in later finds them up, or idle."""
    _ask("nmcli connection reload")
    for unit in UNITS:
        _ask(f"systemctl try-restart --no-block {unit}")
        if _ask(f"systemctl --quiet is-enabled {unit}"):
            _ask(f"systemctl start --no-block {unit}")


def _ask(command: str) -> bool:
    """Whether a program of the system did what it was asked; not every box has each."""
    with suppress(OSError, subprocess.TimeoutExpired):
        return run(command.split(), ASK_S).returncode == 0
    return False


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(USAGE)
    main()
