"""What a scenario is given: a machine with the package and the clip at hand, and its own small scripts."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from .clip import make_clip
from .image import CACHE, ROOT, Image, recipe
from .machine import Machine, machine

CONFIG = """
[camera.door]
source = "file:///var/lib/edged/entrance.mp4?loop=1&realtime=1"
smallest_face = 60
fps = 5

[mqtt]
host = "127.0.0.1"
"""


@dataclass(frozen=True)
class Lab:
    """One scenario's machine and scripts."""

    machine: Machine
    scripts: Path

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
    """The image with the package installed; made once for each package, of which the last is kept."""
    folder = CACHE / f"installed-{recipe()}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        for old in CACHE.glob("installed-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch, machine(image, Path(scratch) / "made") as made:
            lab = Lab(made, Path(scratch))
            lab.prepare(package)
            made.boot()
            lab.guest("install.sh", 900)
            made.ask("sync")
            made.power_off()
            (Path(scratch) / "kept").mkdir()
            made.disk.rename(Path(scratch) / "kept" / "disk.img")
            (Path(scratch) / "kept").rename(folder)
    return replace(image, disk=folder / "disk.img")
