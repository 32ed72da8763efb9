"""What this machine is: its identity in topics, board, processors, and the memory of its processes."""

import hashlib
import os
import platform
from contextlib import suppress
from pathlib import Path

MACHINE_ID = Path("/etc/machine-id")
MODELS = (Path("/proc/device-tree/model"), Path("/sys/firmware/devicetree/base/model"))
"""The same text twice: the console's unit hides the first, as all of /proc but processes."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def device_id(configured: str, machine_id: Path = MACHINE_ID) -> str:
    """The configured id, or for "auto" eight hex digits of a hash of the machine id, which itself must stay private."""
    if configured != "auto":
        return configured
    try:
        seed = machine_id.read_text().strip()
    except OSError:
        seed = ""
    return hashlib.sha256(f"edged {seed or platform.node()}".encode()).hexdigest()[:8]


def device_model(*models: Path) -> str:
    """The board's name, as in "Raspberry Pi 5 Model B Rev 1.0", else the processor's."""
    for model in models or MODELS:
        with suppress(OSError, UnicodeDecodeError):
            if name := model.read_text().strip("\0 \n"):
                return name
    return platform.machine()


def boot_id(path: Path = BOOT_ID) -> str:
    """Names this run of the machine, in which monotonic time goes on; "" where the kernel does not say."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def usable_processors() -> int:
    """How many processors this process may use: a CPU set (systemd's AllowedCPUs=, taskset) may leave fewer than there are."""
    return len(os.sched_getaffinity(0))


def resident_mb(process: int | None = None) -> float:
    """Resident set in megabytes (10^6 bytes) of the process with that number, or this one; 0 where the kernel does not say."""
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
