"""Gives several new files their names as one: whenever the power goes, all of them have theirs in the end, or none has.

A list of what is to be renamed is written first, whole or not at all. Whoever finds it goes on where it was left.
"""

import json
import logging
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.files import replace, sync

log = logging.getLogger(__name__)

JOURNAL = Path("etc/edged/.import")
"""The list, below the root. The unit runs at the next start where it is there."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """One file, all paths relative to the root. `before` is another name of the file that was there, None where none was."""

    partial: str
    target: str
    before: str | None


def rename_together(pairs: Sequence[tuple[Path, Path]], root: Path) -> None:
    """Give each first file, which is whole, the name of the second; both are relative to `root`.

    Raise OSError when one of them cannot be given: every name is as it was then, and the first files are gone.
    """
    journal = root / JOURNAL
    renamings: list[Renaming] = []
    try:
        for partial, target in pairs:
            renamings.append(Renaming(str(partial), str(target), _kept(target, root)))
        for folder in _folders(renamings, root):
            sync(folder)
        _note(journal, renamings, back=False)
    except BaseException:
        journal.unlink(missing_ok=True)
        _unlink(root, [*(str(partial) for partial, _ in pairs), *(one.before for one in renamings)])
        raise
    try:
        _forward(renamings, root)
    except BaseException:
        with suppress(OSError):  # on a full disk the way back is not noted, but gone all the same
            _note(journal, renamings, back=True)
        _backward(renamings, root)
        _close(journal, renamings, root)
        raise
    _close(journal, renamings, root)


def finish(root: Path) -> bool:
    """Go on where a power cut came in between; whether new files have their names by that. Raise OSError when it fails."""
    journal = root / JOURNAL
    try:
        noted = json.loads(journal.read_bytes())
        renamings = [Renaming(**one) for one in noted["files"]]
        back = bool(noted["back"])
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, KeyError) as error:
        log.warning("%s: is damaged (%s) and is deleted", journal, type(error).__name__)
        journal.unlink()
        return False
    (_backward if back else _forward)(renamings, root)
    _close(journal, renamings, root)
    return not back


def _kept(target: Path, root: Path) -> str | None:
    """Another name for what is there now, beside it."""
    other = target.with_name(f".edged-{secrets.token_hex(6)}.before")
    try:
        os.link(root / target, root / other, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return str(other)


def _note(journal: Path, renamings: Iterable[Renaming], *, back: bool) -> None:
    replace(journal, json.dumps({"back": back, "files": [asdict(one) for one in renamings]}).encode())


def _forward(renamings: Iterable[Renaming], root: Path) -> None:
    for one in renamings:
        if os.path.lexists(root / one.partial):  # else it has its name already
            (root / one.partial).replace(root / one.target)


def _backward(renamings: Iterable[Renaming], root: Path) -> None:
    for one in renamings:
        if one.before is None and not os.path.lexists(root / one.partial):
            (root / one.target).unlink(missing_ok=True)
        elif one.before is not None and os.path.lexists(root / one.before):
            with suppress(OSError):  # what could not be replaced is there still
                (root / one.before).replace(root / one.target)


def _close(journal: Path, renamings: Sequence[Renaming], root: Path) -> None:
    """The names are on the disk before the list that would restore them goes."""
    for folder in _folders(renamings, root):
        sync(folder)
    _unlink(root, (name for one in renamings for name in (one.partial, one.before)))
    journal.unlink()
    sync(journal.parent)


def _folders(renamings: Iterable[Renaming], root: Path) -> set[Path]:
    """Of the files, and the folder above each, where it may be as new as they are."""
    folders = {(root / one.target).parent for one in renamings}
    return folders | {folder.parent for folder in folders}


def _unlink(root: Path, names: Iterable[str | None]) -> None:
    for name in names:
        if name is not None:
            (root / name).unlink(missing_ok=True)
