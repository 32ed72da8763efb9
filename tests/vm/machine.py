"""One virtual machine: its disks, its power switch, and an agent that runs scripts in it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .image import Image, as_root, run

CPU = "Nehalem"
"""QEMU 7.2 emulates AVX2 so that numpy crashes, and without it alone apt's checksums end in an illegal instruction."""

BOOT_S = 60
BUSY = 30
"""A host may be so busy that a second in the guest takes it this many."""


CLOCK = ("-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on", "-rtc", "clock=vm")
"""The guest's clock counts instructions, 500 million a second: what is late in there does not depend on how busy the host is."""


class Stopped(Exception):
    """The machine said nothing in time, or a script in it failed."""


class Machine:
    """A guest whose disks lie in `folder`; they stay from boot to boot."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.disk, self.parcel_disk = folder / "disk.img", folder / "parcel.img"
        self.extra_drives: list[Path] = []
        self.serial = folder / "serial.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._waiting = b""
        run("cp", "--sparse=always", "--reflink=auto", image.disk, self.disk)

    def lay(self, parcel: Path) -> None:
        """Put the files of folder `parcel` on a disk that the guest mounts read-only at /mnt/parcel."""
        self.parcel_disk.unlink(missing_ok=True)
        size = sum(path.stat().st_size for path in parcel.rglob("*") if path.is_file())
        as_root("mke2fs", "-q", "-t", "ext4", "-d", parcel, "-L", "parcel", self.parcel_disk, f"{size // 2**20 + 32}M")

    def add_stick(self, label: str, files: dict[str, bytes], read_only: bool = False) -> Path:
        """A FAT disk that the guest finds at its next boot."""
        path = self.folder / f"{label}.img"
        path.unlink(missing_ok=True)
        run("mkfs.vfat", "-C", "-n", label, path, 8192)
        for name, data in files.items():
            (self.folder / "file").write_bytes(data)
            run("mcopy", "-i", path, self.folder / "file", f"::{name}")
        if read_only:
            path.chmod(0o444)
        self.extra_drives.append(path)
        return path

    def add_disk(self, label: str, megabytes: int, *options: str) -> None:
        """An empty ext4 disk that the guest finds at its next boot."""
        path = self.folder / f"{label}.img"
        run("mke2fs", "-q", "-t", "ext4", "-L", label, *options, path, f"{megabytes}M")
        self.extra_drives.append(path)

    @staticmethod
    def on_stick(path: Path) -> dict[str, str]:
        """The files at the top of a FAT disk, by name."""
        names = run("mdir", "-b", "-i", path, "::").split()
        return {name.removeprefix("::/"): run("mtype", "-i", path, name) for name in names if not name.endswith("/")}

    def boot(self, *options: str, root: str = "rw") -> float:
        """Switch on, and wait for the agent. Gives the seconds that took."""
        began = time.monotonic()
        agent = self.folder / "agent.sock"
        agent.unlink(missing_ok=True)
        drives = [self.disk, *([self.parcel_disk] if self.parcel_disk.exists() else []), *self.extra_drives]
        command = ["qemu-system-x86_64", "-machine", "pc", "-cpu", CPU, "-smp", "1", "-m", "1024", *CLOCK]
        command += ["-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)]
        command += ["-append", f"root=LABEL=edgedroot {root} console=ttyS0 net.ifnames=0 quiet panic=-1"]
        for drive in drives:
            read_only = "" if drive.stat().st_mode & 0o200 else ",readonly=on"
            command += ["-drive", f"file={drive},format=raw,if=virtio,cache=writeback{read_only}"]
        command += ["-device", "virtio-serial", "-chardev", f"socket,path={agent},server=on,wait=off,id=agent"]
        command += ["-device", "virtserialport,chardev=agent,name=agent"]
        command += ["-chardev", f"file,path={self.folder / 'heard.log'},append=on,id=heard"]
        command += ["-device", "virtserialport,chardev=heard,name=heard"]
        command += ["-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]
        command += ["-serial", f"file:{self.serial}", *options]
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
        self._connect(agent, began + BOOT_S * BUSY)
        self._read(began + BOOT_S * BUSY)
        return time.monotonic() - began

    def _connect(self, path: Path, deadline: float) -> None:
        while time.monotonic() < deadline:
            self._agent, self._waiting = socket.socket(socket.AF_UNIX), b""
            try:
                self._agent.connect(str(path))
                return
            except OSError:
                if self._process is not None and self._process.poll() is not None:
                    raise Stopped(f"QEMU ended: {(self.folder / 'qemu.log').read_text()[-400:]}") from None
                time.sleep(0.1)
        raise Stopped("QEMU has opened no socket")

    def _read(self, deadline: float) -> dict:
        assert self._agent is not None
        while b"\n" not in self._waiting:
            self._agent.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                got = self._agent.recv(65536)
            except TimeoutError:
                raise Stopped("the guest does not answer") from None
            if not got:
                raise Stopped("the guest went off")
            self._waiting += got
        line, self._waiting = self._waiting.split(b"\n", 1)
        return json.loads(line)

    def ask(self, script: str, seconds: float = 120) -> str:
        """Run a script as root in the guest; what it said. Raise Stopped when it fails."""
        assert self._agent is not None
        self._agent.settimeout(30)
        self._agent.sendall(json.dumps({"script": script, "seconds": seconds}).encode() + b"\n")
        answer = self._read(time.monotonic() + seconds * BUSY)
        if answer["status"]:
            raise Stopped(f"status {answer['status']}:\n{answer['said'].strip()[-3000:]}")
        return answer["said"]

    def power_cut(self) -> None:
        """What the guest's kernel had not given to the disk is lost."""
        self._end(signal.SIGKILL)

    def power_off(self) -> None:
        """An orderly end; the disks can then be looked at."""
        if self._process is None:
            return
        try:
            self.ask("systemctl poweroff --no-block")
            self._process.wait(60 * BUSY)
        except (Stopped, OSError, subprocess.TimeoutExpired):
            pass
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
            self._process.wait(30)
        if self._agent is not None:
            self._agent.close()
        self._process = self._agent = None

    def read(self, path: str) -> bytes:
        """A file of the guest's disk while it is off, with the journal replayed, on a copy."""
        copy = self.folder / "look.img"
        run("cp", "--sparse=always", "--reflink=auto", self.disk, copy)
        subprocess.run(["e2fsck", "-fy", copy], capture_output=True, check=False)
        out = self.folder / "looked"
        out.unlink(missing_ok=True)
        run("debugfs", "-R", f"dump {path} {out}", copy)
        return out.read_bytes() if out.exists() else b""


@contextmanager
def machine(image: Image, folder: Path) -> Iterator[Machine]:
    """A machine that is off, and its disks gone, when the block ends; its logs stay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Machine(image, folder)
    try:
        yield made
    finally:
        made.power_cut()
        for path in folder.glob("*.img"):
            path.unlink()
        shutil.rmtree(folder / "parcel", ignore_errors=True)
