"""Takes the first edged.toml found, and says on the partition what came of it."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from edged.files import replace
from edged.firstboot.place import Found, erase, find, leave
from edged.firstboot.together import finish
from edged.host.device import device_id

log = logging.getLogger(__name__)

SEEN = Path("etc/edged/.imported")
"""Hashes of the files that were dealt with: a partition that takes no writing keeps its file, which must not come back."""

MOST_SEEN = 16


def import_settings(folders: Sequence[Path], root: Path) -> bool:
    """Deal with the edged.toml of the first of `folders` that has a new one; the others count as seen.

    True when settings were applied, also the rest of those that a power cut came between. Everything stays as it was when the
    file has a mistake.
    """
    went_on = _went_on(root)
    for folder in folders:
        erase(folder)
    new = [found for found in (find(folder) for folder in folders) if found and _hash(found) not in _seen(root)]
    if not new:
        return went_on
    from edged.firstboot.take import take  # only now: the daemon's start waits for this one, at every boot

    found, *passed_over = new
    applied = take(found, root)
    for other in passed_over if applied else []:
        log.warning("%s: passed over, since %s was taken", other.folder / other.name, found.folder / found.name)
    if applied:
        _remember(root, new)
    return applied or went_on


def _went_on(root: Path) -> bool:
    try:
        went_on = finish(root)
    except OSError as error:
        log.error(
            "the settings that were being taken cannot be written (%s); the next start tries again", error.strerror
        )
        return False
    if went_on:
        log.info("the settings that were being taken when the power went are all in force")
    return went_on


def _hash(found: Found) -> str:
    return hashlib.sha256(found.data).hexdigest()


def _seen(root: Path) -> list[str]:
    try:
        return (root / SEEN).read_text(errors="replace").split()
    except OSError:
        return []


def _remember(root: Path, found: Sequence[Found]) -> None:
    # A file that is empty, or cannot be read, is not remembered, or the next such file would be passed over in silence.
    kept = [*_seen(root), *(_hash(one) for one in found if one.data)][-MOST_SEEN:]
    try:
        replace(root / SEEN, ("\n".join(kept) + "\n").encode(), 0o644)
    except OSError as error:
        log.warning("%s cannot be written (%s); what was applied may be taken again", root / SEEN, error.strerror)


def introduce(folders: Sequence[Path], root: Path) -> str:
    """Leave `EDGED-<id>.txt` on the boot partition, and name a box of an image edged-<4 characters>. Gives its name."""
    identity = device_id("auto", root / "etc/machine-id")
    host_file = root / "etc/hostname"
    name = host_file.read_text(errors="replace").strip() if host_file.exists() else "edged"
    if name in ("", "edged", "localhost"):
        name = f"edged-{identity[:4]}"
        try:
            host_file.write_text(name + "\n")
        except OSError as error:
            log.warning("%s cannot be written (%s)", host_file, error.strerror)
    card = f"This box is {identity}.\nIts name in the network: {name}.local\n"
    for folder in folders:
        try:
            if not (folder / f"EDGED-{identity}.txt").exists():
                leave(folder, f"EDGED-{identity}.txt", card)
        except OSError:
            continue
    return name
