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


WRITING = "cache=unsafe"
"""What the guest flushes need not reach the host's own disk: the power is cut for the guest alone, and QEMU's end loses nothing
that it has written. With the flushes, unpacking a package takes minutes longer where the host's disk is slow."""


class Stopped(Exception):
    """The machine said nothing in time, or a script in it failed."""


def copy(path: Path, to: Path) -> Path:
    """Copy a disk, which is mostly empty."""
    run("cp", "--sparse=always", "--reflink=auto", path, to)
    return to


class Machine:
    """A guest whose disks lie in `folder`; they stay from boot to boot."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.disk, self.parcel_disk = folder / "disk.img", folder / "parcel.img"
        self.extra_drives: list[Path] = []
        self._asleep = image.memory
        self.serial = folder / "serial.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._waiting = b""
        copy(image.disk, self.disk)
        for path in image.more:
            copy(path, folder / path.name)
            self.extra_drives.append(folder / path.name)

    def lay(self, parcel: Path) -> None:
        """Put the files of folder `parcel` on a disk that the guest mounts read-only at /mnt/parcel."""
        self.parcel_disk.unlink(missing_ok=True)
        size = sum(path.stat().st_size for path in parcel.rglob("*") if path.is_file())
        as_root("mke2fs", "-q", "-t", "ext4", "-d", parcel, "-L", "parcel", self.parcel_disk, f"{size // 2**20 + 32}M")

    def make_stick(self, label: str, files: dict[str, bytes], read_only: bool = False) -> Path:
        """A FAT disk of that label, to be plugged in."""
        path = self.folder / f"{label}.img"
        path.unlink(missing_ok=True)
        run("mkfs.vfat", "-C", "-n", label, path, 8192)
        for name, data in files.items():
            (self.folder / "file").write_bytes(data)
            run("mcopy", "-i", path, self.folder / "file", f"::{name}")
        if read_only:
            path.chmod(0o444)
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
        """Switch on, or wake up the first time when the image is asleep; wait for the agent. Gives the seconds that took."""
        began = time.monotonic()
        agent, monitor = self.folder / "agent.sock", self.folder / "monitor.sock"
        for path in (agent, monitor):
            path.unlink(missing_ok=True)
        drives = [self.disk, *([self.parcel_disk] if self.parcel_disk.exists() else []), *self.extra_drives]
        command = ["qemu-system-x86_64", "-machine", "pc", "-cpu", CPU, "-smp", "1", "-m", "1024", *CLOCK]
        command += ["-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)]
        command += [
            "-append",
            f"root=LABEL=edgedroot {root} console=ttyS0 net.ifnames=0 quiet panic=-1 mitigations=off",
        ]
        for drive in drives:
            read_only = "" if drive.stat().st_mode & 0o200 else ",readonly=on"
            command += ["-drive", f"file={drive},format=raw,if=virtio,{WRITING}{read_only}"]
        command += ["-device", "virtio-serial", "-chardev", f"socket,path={agent},server=on,wait=off,id=agent"]
        command += ["-device", "virtserialport,chardev=agent,name=agent"]
        command += ["-chardev", f"file,path={self.folder / 'heard.log'},append=on,id=heard"]
        command += ["-device", "virtserialport,chardev=heard,name=heard"]
        command += ["-nic", "none", "-display", "none", "-no-reboot", "-monitor", f"unix:{monitor},server=on,wait=off"]
        command += ["-serial", f"file:{self.serial}", *options]
        asleep, self._asleep = self._asleep, None
        if asleep is not None:
            command += ["-incoming", f"exec:cat {asleep}"]
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
        self._connect(agent, began + BOOT_S * BUSY)
        if asleep is None:
            self._read(began + BOOT_S * BUSY)
        else:
            self._wake(began + BOOT_S * BUSY)
            self.ask("true")
        return time.monotonic() - began

    def _tell(self, *lines: str) -> str:
        """Give QEMU's monitor one line after the other, each when it has done the one before; what it said."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(BOOT_S * BUSY)
            monitor.connect(str(self.folder / "monitor.sock"))
            said = b""
            for count, line in enumerate(lines, 1):
                monitor.sendall(line.encode() + b"\n")
                while said.count(b"(qemu) ") <= count and (got := monitor.recv(65536)):
                    said += got
        return said.decode(errors="replace")

    def _wake(self, deadline: float) -> None:
        """The machine stood still when it was kept; it goes on as soon as QEMU has read all of it."""
        while "status: running" not in self._tell("cont", "info status"):
            if time.monotonic() > deadline:
                raise Stopped("QEMU has not read what the machine held")
            time.sleep(0.5)

    @staticmethod
    def plugged(stick: Path) -> tuple[str, ...]:
        """Options for `boot` to find the stick plugged in."""
        read_only = "" if stick.stat().st_mode & 0o200 else ",readonly=on"
        device = f"virtio-blk-pci,drive={stick.stem},id=stick-{stick.stem}"
        return "-drive", f"file={stick},format=raw,if=none,id={stick.stem}{read_only}", "-device", device

    def plug(self, stick: Path) -> None:
        """Plug a stick in while the machine is on."""
        _, drive, _, device = self.plugged(stick)
        said = self._tell(f"drive_add 0 {drive}", f"device_add {device}")
        if "rror" in said or "uplicate" in said:
            raise Stopped(f"QEMU does not take the stick: {said[-300:]}")

    def unplug(self, stick: Path) -> None:
        """Pull a stick out, and wait until the guest and QEMU have let go of it."""
        self._tell(f"device_del stick-{stick.stem}")
        self.ask(f"until [ ! -e /dev/disk/by-label/{stick.stem} ]; do sleep 0.2; done", 60)
        while str(stick) in self._tell("info block"):
            time.sleep(0.2)

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
            said = answer["said"].strip()
            why = next(
                (line for line in said.splitlines() if line.startswith("FAILED: ")), f"status {answer['status']}"
            )
            raise Stopped(f"{why}\n{said[-3000:]}")
        return answer["said"]

    @property
    def is_on(self) -> bool:
        return self._process is not None and self._process.poll() is None

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

    def put_to_sleep(self, memory: Path) -> None:
        """Switch off, and keep what the machine holds in the file `memory`, from which another goes on."""
        assert self._process is not None
        self._tell("stop", f'migrate "exec:cat >{memory}"', "quit")
        self._process.wait(30)
        self._end(signal.SIGKILL)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The machine stands still, clock and all: its disks are what a power cut at this instant would leave."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def copy_of(self, label: str) -> Path:
        """A copy of one of the disks that were added."""
        return copy(self.folder / f"{label}.img", self.folder / "look.img")

    def unpacked(self, copy: Path, *names: str) -> Path:
        """A folder with those files of an ext4 disk's top, its journal replayed as the next boot would; `copy` is used up."""
        folder = self.folder / "looked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        subprocess.run(["e2fsck", "-fy", copy], capture_output=True, check=False)
        for name in names:
            run("debugfs", "-R", f"dump /{name} {folder / name}", copy)
        copy.unlink()
        return folder


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
        for name in ("parcel", "looked"):
            shutil.rmtree(folder / name, ignore_errors=True)
