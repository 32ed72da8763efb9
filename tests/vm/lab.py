"""What a scenario is given: a machine with the package and the clip at hand, and its own small scripts."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from .clip import make_clip
from .image import CACHE, GUEST, ROOT, Image, recipe
from .machine import Machine, Stopped, machine

CONFIG = """
[camera.door]
source = "file:///var/lib/edged/entrance.mp4?loop=1&realtime=1"
smallest_face = 60
fps = 5

[mqtt]
host = "127.0.0.1"
"""
Disks: TypeAlias = tuple[tuple[Any, ...], ...]
DISKS: Disks = (("state", 128, "-N", "200"), ("var", 600))
"""What a serving machine has beside its first disk: a small one for the record, which fills quickly, and one for /var."""

EVIDENCE = {
    "journal": "journalctl -b -o short-monotonic --no-pager",
    "status": "timeout 60 edged status --json",
    "top": "top -bn 1 -w 160 | head -n 25",
}
"""What tells why a scenario failed."""


@dataclass(frozen=True)
class Lab:
    """One scenario's machine and scripts."""

    machine: Machine
    scripts: Path
    long: bool = False
    """Whether the long form was asked for."""

    def prepare(self, package: Path) -> None:
        """Lay the package, the clip and the config on the parcel disk."""
        parcel = self.machine.folder / "parcel"
        shutil.rmtree(parcel, ignore_errors=True)
        parcel.mkdir()
        shutil.copyfile(package, parcel / "edged.deb")
        shutil.copyfile(clip(), parcel / "entrance.mp4")
        (parcel / "edged.toml").write_text(CONFIG)
        self.machine.lay(parcel)

    def ready(self) -> None:
        """Configured, heard, and active: where most scenarios begin. The machine is on, the package installed."""
        self.guest("configure.sh")
        self.guest("listen.sh")
        self.guest("start.sh", 300)

    def keep_evidence(self) -> None:
        """After a failure: what the guest can still say of itself, as files beside the machine's own logs."""
        if not self.machine.is_on:
            return
        for name, script in EVIDENCE.items():
            try:
                (self.machine.folder / f"{name}.log").write_text(self.machine.ask(f"{script} 2>&1 || true"))
            except (Stopped, OSError):
                return

    def guest(self, name: str, seconds: float = 300, **values: object) -> str:
        """Run one of the scenario's scripts in the guest, with `values` as its variables."""
        head = "".join(f"{key}='{value}'\n" for key, value in values.items())
        common = (Path(__file__).parent / "guest" / "common.sh").read_text()
        path = next(p for p in (self.scripts / name, Path(__file__).parent / "guest" / name) if p.exists())
        return self.machine.ask(head + common + path.read_text(), seconds)


def clip() -> Path:
    """The recording that stands in for a camera, made once for each way of drawing it."""
    drawn_by = [
        Path(__file__).parent / "clip.py",
        *(ROOT / "edged" / "demo").glob("*.py"),
        *(ROOT / "edged" / "render").glob("*.py"),
    ]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(drawn_by))).hexdigest()[:12]
    path = CACHE / f"entrance-{key}.mp4"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            make_clip(Path(scratch) / "clip.mp4").rename(path)
    return path


def newest_package(codename: str = "bookworm", arch: str = "amd64") -> Path:
    found = sorted((ROOT / "build" / "deb").glob(f"edged_*+{codename}*_{arch}.deb"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise SystemExit(f"vm: no package; `make deb CODENAME={codename} ARCH={arch}` builds it")
    return found[-1]


def installed(image: Image, package: Path) -> Image:
    """The image with the package installed."""

    def install(lab: Lab) -> None:
        lab.guest("install.sh", 900)
        lab.machine.ask("sync")
        lab.machine.power_off()

    return _kept("installed", [package.read_bytes()], image, package, install)


def serving(image: Image, package: Path) -> Image:
    """The installed image with its record on a disk of its own, a config and a subscriber: it goes on from where it serves."""

    def set_up(lab: Lab) -> None:
        lab.guest("own_disk.sh")
        lab.ready()
        lab.machine.ask("umount /mnt/parcel")

    scripts = [path.read_bytes() for path in sorted(GUEST.glob("*.sh"))]
    made_of = [package.read_bytes(), clip().read_bytes(), (CONFIG + repr(DISKS)).encode(), *scripts]
    return _kept("serving", made_of, installed(image, package), package, set_up, DISKS)


def _kept(
    stage: str, made_of: list[bytes], image: Image, package: Path, make: Callable[[Lab], None], disks: Disks = ()
) -> Image:
    """The image after `make`; made once for what it is `made_of`, and only the last is kept."""
    key = hashlib.sha256(b"".join(made_of)).hexdigest()[:12]
    folder = CACHE / f"{stage}-{recipe()}-{key}"
    memory = folder / "memory"
    if not folder.is_dir():
        for old in CACHE.glob(f"{stage}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch, machine(image, Path(scratch) / "made") as made:
            lab, kept = Lab(made, Path(scratch)), Path(scratch) / "kept"
            lab.prepare(package)
            for label, megabytes, *options in disks:
                made.add_disk(label, megabytes, *options)
            made.boot()
            make(lab)
            kept.mkdir()
            if made.is_on:
                made.put_to_sleep(kept / "memory")
            for path in (made.disk, *made.extra_drives):
                path.rename(kept / path.name)
            kept.rename(folder)
    more = tuple(sorted(path for path in folder.glob("*.img") if path.name != "disk.img"))
    return replace(image, disk=folder / "disk.img", more=more, memory=memory if memory.exists() else None)
