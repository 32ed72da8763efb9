"""Which files a program and its children write, make, rename or delete, by strace."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from support.mosquitto import until

MAKING = (
    "?creat", "?mkdir", "mkdirat", "?mknod", "mknodat", "?rename", "?renameat", "renameat2", "?link", "linkat",
    "?symlink", "symlinkat", "?unlink", "unlinkat", "?rmdir", "truncate", "?chmod", "fchmodat", "bind",
)  # fmt: skip
OPENING = ("?open", "openat", "?openat2")
CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"')
FOR_WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")
ENDED = re.compile(r"\+\+\+ (exited|killed)")
NO_FILES = re.compile(r"^/(proc/|dev/(null|tty|ptmx|pts/))")


def why_not() -> str | None:
    """Why writes cannot be followed here, None where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt install strace"
    done = subprocess.run(
        [*_STRACE, "-o", "/dev/null", "true"], capture_output=True, text=True, timeout=120, check=False
    )
    return None if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


# The tracer is a process beside: signals reach the program itself. Only the calls that are asked for stop it.
_STRACE = (
    "strace",
    "-D",
    "-f",
    "-q",
    "--seccomp-bpf",
    "--decode-fds=path",
    "-e",
    f"trace={','.join(OPENING + MAKING)}",
)


def traced(prefix: Path) -> list[str]:
    """What to put before a command; `written` then reads what it did from files that begin with `prefix`."""
    return [*_STRACE, "-ff", "-o", str(prefix)]


def written(prefix: Path) -> set[str]:
    """Every path that was opened for writing, made, renamed or deleted; wait until all the processes have ended."""
    files = list(prefix.parent.glob(f"{prefix.name}.*"))
    assert files, f"nothing was traced to {prefix}"
    assert until(lambda: all(ENDED.search(file.read_text()[-200:]) for file in files)), f"{prefix}: not all have ended"
    paths = {path for file in files for line in file.read_text().splitlines() for path in _paths(line)}
    return {path for path in paths if not NO_FILES.match(path)}


def _paths(line: str) -> list[str]:
    found = CALL.match(line)
    if found is None or int(found[3]) < 0:
        return []
    name, arguments = found[1], found[2]
    if name.startswith("open") and not FOR_WRITING.search(arguments):
        return []
    if name == "bind" and "AF_UNIX" not in arguments:
        return []
    return [os.path.normpath(Path(folder or "/") / path) for folder, path in PATH.findall(arguments) if path]
