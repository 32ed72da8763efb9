"""Makes the guest's disk once: a pristine Debian with a broker and an agent, cached by what it is made of."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUEST = Path(__file__).parent / "guest"
CACHE = ROOT / ".cache" / "vm"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
SIZE_MB = 2400
PACKAGES = (
    "systemd-sysv,udev,dbus,python3,apt,tzdata,libstdc++6,linux-image-amd64,mosquitto,mosquitto-clients,kmod,iproute2,"
    "procps,strace,v4l-utils,alsa-utils,systemd-timesyncd,e2fsprogs,dosfstools,network-manager,dash,liblapack3"
)
MODULES = "virtio_pci virtio_blk virtio_net ext4 crc32c_generic"

HOOKS = (
    'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"',
    'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/vm"',
    f'printf "%s\\n" {MODULES} >"$1/usr/share/initramfs-tools/modules.d/vm"',
)
"""Few modules in the initial file system: QEMU has a handful of devices."""
SCRIPT = f"""
set -eu
mkdir root && tar -C root --numeric-owner -xpf rootfs.tar
cp root/boot/vmlinuz-* image/vmlinuz && cp root/boot/initrd.img-* image/initrd
echo 'LABEL=edgedroot / ext4 defaults 0 1' >root/etc/fstab
echo pristine >root/etc/hostname
echo 'nameserver 127.0.0.1' >root/etc/resolv.conf
: >root/etc/machine-id
: >root/etc/apt/sources.list
rm -rf root/var/lib/apt/lists/* root/var/lib/dbus/machine-id root/dev/*
mkdir -p root/usr/local/lib root/mnt/parcel
cp "$GUEST/agent.py" root/usr/local/lib/agent.py
cp "$GUEST/agent.service" root/etc/systemd/system/agent.service
mkdir -p root/etc/systemd/system/multi-user.target.wants
ln -s /etc/systemd/system/agent.service root/etc/systemd/system/multi-user.target.wants/agent.service
ln -sf /dev/null root/etc/systemd/system/apt-daily.timer
ln -sf /dev/null root/etc/systemd/system/apt-daily-upgrade.timer
mke2fs -q -t ext4 -d root -L edgedroot image/base.img {SIZE_MB}M
"""


@dataclass(frozen=True)
class Image:
    """What QEMU boots; the disks are copied before."""

    disk: Path
    kernel: Path
    initrd: Path
    more: tuple[Path, ...] = ()
    """Disks that were added, in their order."""
    memory: Path | None = None
    """What the machine held when it was put to sleep: it goes on from there, and need not boot."""


NEEDED_BY = {
    "mkfs.vfat": "dosfstools",
    "mkfs.ext4": "e2fsprogs",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "fakeroot": "fakeroot",
}
"""The Debian packages of the programs that are run here."""


def run(*command: object, **more) -> str:
    if shutil.which(str(command[0])) is None:
        raise SystemExit(f"vm: {command[0]} is not installed; apt install {NEEDED_BY.get(str(command[0]), command[0])}")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise SystemExit(f"vm: {command[0]} failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def as_root(*command: object, **more) -> str:
    """Files in the guest are root's, whoever runs this."""
    return run(*([] if os.geteuid() == 0 else ["fakeroot", "--"]), *command, **more)


def recipe() -> str:
    """A name that changes with everything the image is made of."""
    agent = [path.read_text() for path in sorted(GUEST.glob("agent.*"))]
    parts = [SUITE, PACKAGES, *HOOKS, SCRIPT, *agent]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def image() -> Image:
    """The image, made when there is none of this recipe; it has its name only when it is whole."""
    folder = CACHE / recipe()
    if not folder.is_dir():
        print("vm: makes a Debian image, once (minutes)", flush=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            made = Path(scratch) / "image"
            made.mkdir()
            _make(Path(scratch), made)
            made.rename(folder)
    return Image(folder / "base.img", folder / "vmlinuz", folder / "initrd")


def _make(scratch: Path, made: Path) -> None:
    tar = scratch / "rootfs.tar"
    run(
        "mmdebstrap",
        *("--variant=minbase", "--architectures=amd64", f"--include={PACKAGES}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "locale")),
        *(f"--essential-hook={hook}" for hook in HOOKS),
        *(SUITE, tar, MIRROR),
    )
    as_root("sh", "-c", SCRIPT, cwd=scratch, env={**os.environ, "GUEST": str(GUEST)})
    tar.unlink()
    shutil.rmtree(scratch / "root")
