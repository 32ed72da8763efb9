"""Boots a whole image as its user does: flash it, lay edged.toml on its card, switch it on; UEFI, no kernel from outside.

`python -m tests.vm.boot_image build/image/edged-generic-amd64.img.xz`; needs ovmf (amd64) or qemu-efi-aarch64 and
qemu-system-arm (arm64), and ssh. The guest has a wired network with DHCP and nothing behind it.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .image import CACHE, run
from .lab import clip
from .machine import BUSY, CLOCK, CPU, Stopped

AMD64 = [
    "qemu-system-x86_64",
    "-machine",
    "q35,smm=on",
    "-global",
    "driver=cfi.pflash01,property=secure,value=on",
    "-cpu",
    CPU,
]
AMD64 += ["-device", "i6300esb", "-device", "e1000e,netdev=net"]
ARM64 = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72", "-device", "virtio-net-pci,netdev=net"]
FIRMWARE = {
    "amd64": (Path("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")),
    "arm64": (Path("/usr/share/AAVMF/AAVMF_CODE.fd"), Path("/usr/share/AAVMF/AAVMF_VARS.fd")),
}
"""Code and settings; the latter of amd64 hold Microsoft's keys, with Secure Boot switched on, as a PC's do."""
SETTINGS = """
[camera.door]
source = "file:///srv/entrance.mp4?loop=1&realtime=1"
smallest_face = 60
fps = 5

[report]
timezone = "Europe/Madrid"

[[ssh]]
key = "{key}"
"""
CARD, ROOT = 1, 2
DISK_MB = 5000
FIRST_BOOT_S = 120
ALERT_S = 120


class Box:
    """A flashed disk, and the switch of the machine that it is in."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.arch = "arm64" if "arm64" in image.name else "amd64"
        self.folder, self.disk, self.serial = folder, folder / "disk.img", folder / "serial.log"
        with self.disk.open("wb") as disk:
            subprocess.run(["xz", "-dc", image], stdout=disk, check=True)
        self.parts = [
            part["start"] * 512 for part in json.loads(run("sfdisk", "-J", self.disk))["partitiontable"]["partitions"]
        ]
        run("truncate", "-s", f"{DISK_MB}M", self.disk)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key")
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def set_up(self) -> None:
        """What a person does on a laptop: one file on the card. The clip stands in for a camera."""
        key = (self.folder / "key.pub").read_text().strip()
        (self.folder / "edged.toml").write_text(SETTINGS.format(key=key))
        run("mcopy", "-i", f"{self.disk}@@{self.parts[CARD]}", self.folder / "edged.toml", "::")
        root = f"{self.disk}?offset={self.parts[ROOT]}"
        run("debugfs", "-w", "-R", f"write {clip()} /srv/entrance.mp4", root)

    def card(self) -> dict[str, str]:
        """The files on the card, by name."""
        place = f"{self.disk}@@{self.parts[CARD]}"
        names = [name.removeprefix("::/") for name in run("mdir", "-b", "-i", place, "::").split()]
        return {name: run("mtype", "-i", place, f"::{name}") for name in names if not name.endswith("/")}

    def switch_on(self) -> None:
        code, variables = FIRMWARE[self.arch]
        shutil.copyfile(variables, self.folder / "vars.fd")
        command = [*(AMD64 if self.arch == "amd64" else ARM64), "-smp", "1", "-m", "1536", *CLOCK]
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
        command += ["-drive", f"if=pflash,format=raw,file={self.folder / 'vars.fd'}"]
        command += ["-drive", f"if=none,id=disk,format=raw,file={self.disk}", "-device", "nvme,serial=1,drive=disk"]
        command += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"]
        command += ["-display", "none", "-monitor", "none", "-no-reboot", "-serial", f"file:{self.serial}"]
        with (self.folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in the guest, as the owner of the key in edged.toml."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=120"]
        ssh = ["ssh", "-i", str(self.folder / "key"), "-p", str(self.port), *(f"-o{option}" for option in options)]
        return subprocess.run(
            [*ssh, "root@127.0.0.1", "sh -eu"], input=script, capture_output=True, text=True, timeout=900, check=False
        )

    def wait(self, script: str, seconds: float, what: str) -> str:
        """Until the script succeeds; what it printed."""
        deadline = time.monotonic() + seconds * BUSY
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise Stopped(f"QEMU ended: {(self.folder / 'qemu.log').read_text()[-400:]}")
            done = self.ask(script)
            if done.returncode == 0:
                return done.stdout
            time.sleep(5)
        raise Stopped(f"{what}: not in time; {(done.stdout + done.stderr).strip()[-1000:]}")

    def switch_off(self) -> None:
        if self._process is not None:
            self.ask("systemctl poweroff --no-block")
            try:
                self._process.wait(60 * BUSY)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None


LOOK = """
hostname
cat /etc/machine-id
stat -c %i /etc/ssh/ssh_host_ed25519_key
df --output=size -BM / | tail -n 1
systemctl show -p RuntimeWatchdogUSec --value
cat /sys/class/watchdog/watchdog0/state 2>/dev/null || echo none
systemctl list-units --failed --no-legend --plain | cut -d' ' -f1 | xargs echo failed:
systemctl is-enabled edged.service edged-console.service edged-report.timer edged-import.service | xargs
systemd-analyze time | head -n 1
od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null || echo none
awk -F: '$2 !~ /^[*!]/ {print $1}' /etc/shadow | xargs echo passwords:
"""


def check(image: Path, folder: Path) -> None:
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"image: {time.monotonic() - began:4.0f} s  {line}", flush=True)

    box = Box(image, folder)
    fresh = box.card()
    assert list(fresh) == ["edged.toml.example"], sorted(fresh)
    box.set_up()
    box.switch_on()
    try:
        box.wait("true", FIRST_BOOT_S, "ssh with the key from edged.toml")
        tell("UEFI, loader, kernel, DHCP and SSH with the key from edged.toml")
        box.wait("systemctl is-active edged.service", FIRST_BOOT_S, "READY")
        tell("edged is READY")
        box.wait("systemctl is-active edged-console.service", FIRST_BOOT_S, "the console")
        box.wait("edged events --kind mask --json | grep -q event_id", ALERT_S, "an alert")
        tell("an alert stands in the record")
        tested = box.ask("edged selftest")
        assert tested.returncode == 0, tested.stdout + tested.stderr
        tell(f"edged selftest: {tested.stdout.count('✓')} parts as they should be")
        said = box.ask(LOOK)
        assert said.returncode == 0, said.stderr
        name, machine_id, _, size, interval, watchdog, failed, enabled, took, secure, passwords = (
            said.stdout.splitlines()
        )
        tell(f"{name}, {size.strip()}, watchdog {interval} {watchdog}; {took}")
        assert re.fullmatch(r"edged-[0-9a-f]{4}", name), name
        assert re.fullmatch(r"[0-9a-f]{32}", machine_id), machine_id
        assert int(size.strip().removesuffix("M")) > DISK_MB * 0.85, "the system did not grow with the disk"
        assert interval == "15s", interval
        assert watchdog == ("active" if box.arch == "amd64" else "none"), watchdog
        assert box.arch == "arm64" or secure.strip() == "1", "it started without Secure Boot"
        assert (failed, enabled, passwords) == ("failed:", "enabled enabled enabled enabled", "passwords:")
    finally:
        box.switch_off()
    card = box.card()
    assert {"edged.toml.example", "edged.toml.applied"} < set(card), sorted(card)
    assert "edged.toml" not in card
    (who,) = (text for file, text in card.items() if file.startswith("EDGED-"))
    assert f"{name}.local" in who
    assert f"{name}.local" in box.serial.read_text(errors="replace"), "the console does not say who the box is"
    tell(f"the card holds {', '.join(sorted(card))}")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("image: stopped"))
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-", dir=CACHE) as folder:
        try:
            check(Path(sys.argv[1]), Path(folder))
        except (Stopped, AssertionError) as wrong:
            logs = CACHE / "failed-image"
            logs.mkdir(exist_ok=True)
            for log in Path(folder).glob("*.log"):
                shutil.copyfile(log, logs / log.name)
            sys.exit(f"image: FAILED: {wrong}\nimage: logs lie in {logs}")


if __name__ == "__main__":
    main()
