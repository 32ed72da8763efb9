"""Flashes a Jetson with NVIDIA's Linux and edged: `sudo flash-jetson prepare`, then `sudo flash-jetson flash`.

`prepare` needs no board: it fetches NVIDIA's archive, asks for consent to its licence, and makes the images in steps. Each
finished step is written down; after a failure, or a power cut, the same command goes on where it stopped. `flash` writes the
images to the one board that is attached in recovery mode.
"""

import argparse
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from edged.files import lock, replace, write_beside
from edged.toml import load_toml

HERE = Path(__file__).parent
OVERLAY = HERE.parent / "overlay"
CHUNK = 1 << 20
STATE = "state.json"
USER = "edged-admin"
USB_DEVICES = Path("/sys/bus/usb/devices")
NVIDIA = "0955"
MOUNTS = Path("/proc/self/mounts")
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
RECOVERY = (
    "hold its recovery button (or bridge FC REC and GND) while you switch it on, with its USB-C port at this machine"
)


def stop(line: str) -> NoReturn:
    sys.exit(f"flash-jetson: {line}")


def run(*command: object, cwd: Path | None = None, **environment: str) -> None:
    """A program that must succeed; what it says goes to the terminal."""
    words = [str(part) for part in command]
    try:
        status = subprocess.run(words, cwd=cwd, env={**os.environ, **environment}, check=False).returncode
    except OSError as error:
        stop(f"{words[0]} cannot be started ({error.strerror})")
    if status:
        stop(f"{Path(words[0]).name} failed with status {status}; call flash-jetson again to go on from this step")


@dataclass(frozen=True)
class Job:
    """What was asked for, and where it is made."""

    folder: Path
    package: Path
    board: dict[str, Any]
    source: dict[str, Any]
    consent: bool
    """The user has read the licence and said so on the command line."""

    @property
    def archive(self) -> Path:
        return self.folder / f"Jetson_Linux_R{self.source['version']}.tbz2"

    @property
    def tree(self) -> Path:
        return self.folder / "Linux_for_Tegra"

    @property
    def rootfs(self) -> Path:
        return self.tree / "rootfs"


def digest(path: Path) -> str:
    found = sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def edit(path: Path, change: Callable[[str], str | None]) -> None:
    """Each line of a file changed, or taken out where that gives None; the mode and the group stay."""
    if path.exists():
        lines = [change(line) for line in path.read_text().splitlines()]
        there = path.stat()
        text = "".join(f"{line}\n" for line in lines if line is not None)
        write_beside(path, text.encode(), there.st_mode & 0o777, there.st_gid).replace(path)


def remove(folder: Path) -> None:
    """A folder goes, unless something is mounted below it: an interrupted script of NVIDIA's may have left /dev there."""
    inside = f"{folder.resolve()}/"
    mounted = [line.split()[1] for line in MOUNTS.read_text().splitlines() if line.split()[1].startswith(inside)]
    if mounted:
        stop(f"{mounted[-1]} is still mounted; umount it first")
    if folder.exists():
        shutil.rmtree(folder)


def download(job: Job) -> None:
    """NVIDIA's archive, which has its name only when it is the pinned one. What came of it before a failure is kept."""
    part = job.archive.with_suffix(".part")
    wanted = job.source["sha256"]
    if job.archive.exists() and digest(job.archive) == wanted:
        return
    if not (part.exists() and digest(part) == wanted):
        patient = ("--connect-timeout", "30", "--speed-limit", "1000", "--speed-time", "60")
        run("curl", "--fail", "--location", "--continue-at", "-", *patient, "--output", part, job.source["url"])
    if (found := digest(part)) != wanted:
        part.unlink()
        stop(f"{job.source['url']} has the SHA-256 {found}, and not the pinned one; it was thrown away")
    part.replace(job.archive)


def unpack(job: Job) -> None:
    remove(job.tree)
    part = job.folder / "unpacked"
    remove(part)
    part.mkdir()
    run("tar", "--numeric-owner", "-xpf", job.archive, "-C", part)
    (part / job.tree.name).rename(job.tree)
    part.rmdir()


def licence(job: Job) -> None:
    """Shows the licence, and goes on only with the user's own word."""
    text = job.tree / job.source["licence"]
    print(text.read_text(errors="replace"))
    print(f"This is the licence of NVIDIA's files. It lies in {text}.")
    print("Do you accept it? Type yes to go on: ", end="", flush=True)
    if not job.consent and sys.stdin.readline().strip() != "yes":
        stop("the licence was not accepted; nothing was made of it")


def tools(job: Job) -> None:
    """What NVIDIA's scripts need of this machine, installed by NVIDIA's own list."""
    run("./tools/l4t_flash_prerequisites.sh", cwd=job.tree)


def sample(job: Job) -> None:
    """Ubuntu without a desktop, from NVIDIA's list of packages."""
    samples = job.tree / "tools" / "samplefs"
    remove(job.rootfs)
    job.rootfs.mkdir()
    flavour = ("--abi", "aarch64", "--distro", "ubuntu", "--flavor", "minimal", "--version", job.source["ubuntu"])
    run("./nv_build_samplefs.sh", *flavour, cwd=samples)
    run("tar", "--numeric-owner", "-xpf", samples / "sample_fs.tbz2", "-C", job.rootfs)


def binaries(job: Job) -> None:
    """NVIDIA's drivers, and the user without whom the first boot waits for a person: its password is known to nobody, and goes.

    Together: each time, NVIDIA's first script undoes what the second one sets.
    """
    run("./apply_binaries.sh", cwd=job.tree)
    for name in ("passwd", "shadow", "group", "gshadow"):
        edit(job.rootfs / "etc" / name, lambda line: None if line.startswith(f"{USER}:") else line)
    shutil.rmtree(job.rootfs / "home" / USER, ignore_errors=True)
    unknown = secrets.token_urlsafe(24)
    make = "tools/l4t_create_default_user.sh"
    run(f"./{make}", "-u", USER, "-p", unknown, "-n", "edged", "--accept-license", cwd=job.tree)

    def locked(line: str) -> str:
        name, _, rest = line.split(":", 2)
        return f"{name}:*:{rest}" if name == USER else line

    edit(job.rootfs / "etc" / "shadow", locked)


def edged(job: Job) -> None:
    """The package with what it needs, and what all images have: no identity, no password, the watchdog."""
    shutil.copyfile(job.package, job.rootfs / "tmp" / "edged.deb")
    # What is mounted there is gone with the namespace, however the program ends.
    inside = """set -eu; root=$1
        mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"; mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
        chroot "$root" apt-get update -q
        beside="network-manager avahi-daemon openssh-server alsa-utils"
        chroot "$root" apt-get install -q -y --no-install-recommends /tmp/edged.deb $beside"""
    run("unshare", "--mount", "--propagation=private", "sh", "-c", inside, "sh", job.rootfs)
    (job.rootfs / "tmp" / "edged.deb").unlink()
    # Neither / nor /etc gets the mode that its namesake has in the checkout, as copytree would have it.
    run("cp", "--recursive", "--no-preserve=mode", f"{OVERLAY}/.", job.rootfs)
    for key in job.rootfs.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (job.rootfs / "etc" / "machine-id").write_text("")


def images(job: Job) -> None:
    """NVIDIA's first phase: everything that is written later, without a board."""
    initrd_flash(job, "--no-flash", **job.board["identity"])


def initrd_flash(job: Job, phase: str, **identity: str) -> None:
    device, layout = job.board["storage"]
    firmware = "-c bootloader/generic/cfg/flash_t234_qspi.xml --no-systemimg"
    options = ("--external-device", device, "-c", layout, "-p", firmware, "--network", "usb0", "--showlogs")
    program = "./tools/kernel_flash/l4t_initrd_flash.sh"
    run(program, *options, phase, job.board["config"], "internal", cwd=job.tree, **identity)


Step = Callable[[Job], None]
STEPS: tuple[tuple[Step, Callable[[Job], object]], ...] = (
    (download, lambda job: job.source["sha256"]),
    (unpack, lambda job: None),
    (licence, lambda job: digest(job.tree / job.source["licence"])),
    (tools, lambda job: None),
    (sample, lambda job: job.source["ubuntu"]),
    (binaries, lambda job: USER),
    (edged, lambda job: digest(job.package)),
    (images, lambda job: job.board),
)
"""In this order. Beside each: what it depends on, besides the steps before it."""


def keys(job: Job) -> Iterator[str]:
    """For each step, in order, a hash of all that it and those before it come from."""
    key = ""
    for step, depends in STEPS:
        key = sha256(json.dumps([key, step.__name__, depends(job)], sort_keys=True).encode()).hexdigest()
        yield key


def prepare(job: Job) -> None:
    """Every step that is not done yet, or was done with something else."""
    done = finished(job.folder)
    for number, key in enumerate(keys(job)):
        if done[number : number + 1] == [key]:
            continue
        step = STEPS[number][0]
        print(f"flash-jetson: {step.__name__} ({number + 1} of {len(STEPS)})", flush=True)
        del done[number:]
        write_down(job.folder, done)
        step(job)
        os.sync()  # or a power cut could leave the step written down, and not what it made
        done.append(key)
        write_down(job.folder, done)
    print("flash-jetson: the images are ready; attach the board in recovery mode, and call flash-jetson flash")


def finished(folder: Path) -> list[str]:
    """The keys of the steps that are done."""
    try:
        done = json.loads((folder / STATE).read_text())
    except (OSError, ValueError):
        return []
    return done if isinstance(done, list) else []


def write_down(folder: Path, done: list[str]) -> None:
    replace(folder / STATE, json.dumps(done).encode(), 0o644)


def attached() -> list[str]:
    """The USB products of NVIDIA's vendor number."""
    vendors = [path for path in USB_DEVICES.glob("*/idVendor") if path.read_text().strip() == NVIDIA]
    return [(path.parent / "idProduct").read_text().strip() for path in vendors]


def flash(job: Job) -> None:
    """NVIDIA's second phase. Nothing is written to a board that the images were not made for."""
    done = finished(job.folder)
    if len(done) != len(STEPS) or done != list(keys(job)):
        stop("the images for this board and package are not ready; flash-jetson prepare makes them")
    products = attached()
    if products != [job.board["usb"]]:
        seen = f"shows {', '.join(products)} below {NVIDIA}" if products else "shows none"
        stop(f"USB {seen}, and not the one board {NVIDIA}:{job.board['usb']} in recovery mode; {RECOVERY}")
    initrd_flash(job, "--flash-only")
    print("flash-jetson: done. Put edged.toml on a stick named EDGED, and switch the board on with it")


def job_of(words: list[str] | None) -> tuple[Callable[[Job], None], Job]:
    source = load_toml(HERE / "l4t.toml")
    asked = argparse.ArgumentParser(prog="flash-jetson", description="Flashes a Jetson with NVIDIA's Linux and edged.")
    asked.add_argument("what", choices=["prepare", "flash"])
    asked.add_argument("--board", choices=sorted(source["board"]), required=True)
    asked.add_argument("--package", type=Path, required=True, help="edged's .deb for the board's Ubuntu, arm64")
    asked.add_argument(
        "--folder", type=Path, default=Path("jetson"), help="where all is made: 30 GB, ext4, xfs or btrfs"
    )
    asked.add_argument(
        "--url", default=source["url"], help="NVIDIA's archive elsewhere, as on a mirror or a disk (file:///…)"
    )
    asked.add_argument("--sha256", default=source["sha256"], help="its SHA-256, where it is another release's")
    asked.add_argument("--accept-licence", action="store_true", help="you have read NVIDIA's licence, and accept it")
    given = asked.parse_args(words)
    source |= {"url": given.url, "sha256": given.sha256}
    board = source.pop("board")[given.board]
    job = Job(given.folder.absolute(), given.package.absolute(), board, source, given.accept_licence)
    return (prepare if given.what == "prepare" else flash), job


def main(words: list[str] | None = None) -> None:
    act, job = job_of(words)
    if os.geteuid() != 0:
        stop("NVIDIA's scripts need root; sudo flash-jetson …")
    if platform.machine() != "x86_64":
        stop("NVIDIA's programs run on x86-64 only")
    if not BINFMT.exists():
        stop("this machine runs no programs for arm64; apt install qemu-user-static binfmt-support")
    wanted = f"+{job.source['ubuntu']}"
    if not (job.package.is_file() and wanted in job.package.name and job.package.name.endswith("_arm64.deb")):
        stop(f"{job.package} is no package for this Ubuntu; make deb CODENAME={job.source['ubuntu']} ARCH=arm64")
    os.umask(0o022)  # of what is made, much is the system's
    job.folder.mkdir(parents=True, exist_ok=True)
    with (job.folder / "lock").open("w") as alone:
        if not lock(alone.fileno()):
            stop(f"another flash-jetson works in {job.folder}")
        try:
            act(job)
        except OSError as error:
            stop(f"{error.filename or job.folder}: {error.strerror}")
        except KeyboardInterrupt:
            stop("stopped; call flash-jetson again to go on")


if __name__ == "__main__":
    main()
