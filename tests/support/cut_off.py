"""Takes settings again and again, the power going at each step in turn: `python cut_off.py FOLDER STICK_IS_PULLED_OUT`.

FOLDER holds a `root` and a `stick`. Prints a line of JSON for each step: what lies on both once the box has started again.
"""

import json
import os
import shutil
import sys
from itertools import count
from pathlib import Path

from edged.firstboot.run import import_settings
from edged.firstboot.take import take  # now, once for all steps

STEPS = ("open", "os.rename", "os.link", "os.remove", "os.symlink", "os.mkdir")
assert take
os.fsync = lambda _: None  # a process that is killed loses nothing it has written


def cut_off_at(step: int) -> None:
    """Have this process end before it changes anything on the disk for the `step`th time."""
    left = [step]

    def count_down(event: str, arguments: tuple[object, ...]) -> None:
        left[0] -= event in STEPS
        if left[0] < 0:
            os._exit(9)

    sys.addaudithook(count_down)


def lying(folder: Path) -> dict[str, str]:
    """Every file below, with what is in it; of a link, where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def main(folder: Path, *, pulled_out: bool) -> None:
    for step in count():
        work = folder / "work"
        shutil.copytree(folder, work, symlinks=True, ignore=shutil.ignore_patterns("work"))
        root, stick = work / "root", work / "stick"
        child = os.fork()
        if child == 0:
            cut_off_at(step)
            import_settings([stick], root)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended in (0, 9), ended
        import_settings([] if pulled_out else [stick], root)
        print(json.dumps({"root": lying(root), "stick": lying(stick)}))
        shutil.rmtree(work)
        if ended == 0:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), pulled_out=sys.argv[2] == "True")
