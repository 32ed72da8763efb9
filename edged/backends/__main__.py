"""The child process that builds one engine: `python -m edged.backends MODEL SOCKET PARENT_PID`.

`edged.backends.build_parent` says what goes over the socket. It may crash, hang, or be killed at any moment: a plan or a result
is written whole or not at all, and what is left of one that was being written, the next build removes.
"""

import contextlib
import ctypes
import logging
import os
import platform
import resource
import socket
import sys
from pathlib import Path

from edged.backends.build_parent import BuildMessage, BuildRequest
from edged.processes import channel
from edged.processes.launch import die_with

log = logging.getLogger(__name__)

LOWEST = 19
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""System calls for which neither Python nor the C library has a name."""
OF_A_PROCESS, IDLE_CLASS = 1, 3 << 13
FIRST_TO_BE_KILLED = "1000"


def lower_priority() -> None:
    """Take the processor and the disk only when nothing else needs them, and be the first killed when memory runs out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST)
    number = IOPRIO_SET.get(platform.machine())
    if number is None or ctypes.CDLL(None).syscall(number, OF_A_PROCESS, 0, IDLE_CLASS):
        log.debug("the disk's priority stays as it is")
    try:
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_BE_KILLED)
    except OSError as error:
        log.debug("out of memory, this process is not the first to go (%s)", error.strerror)


def main() -> None:
    """Do what the parent requests, and report to it."""
    parent = socket.socket(fileno=int(sys.argv[2]))
    lower_priority()
    request = BuildRequest.model_validate(channel.receive(parent))
    from edged.backends.build_child import run_build  # takes a second or two, at the lowest priority

    def report(message: BuildMessage) -> None:
        with contextlib.suppress(ConnectionError):  # a parent that has gone takes this process with it
            message.send(parent)

    report(BuildMessage(result=run_build(request, report)))


if __name__ == "__main__":
    die_with(int(sys.argv[3]))
    main()
