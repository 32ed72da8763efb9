"""Builds the Debian package: `python systemd/debian/build.py CODENAME ARCH OUT`; `make deb` calls it.

The package holds a virtual environment over the system's Python, filled from wheels whose hashes are locked for each
release. Nothing of the target is run, so that any Debian machine builds for any other; nothing is left half made.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from slim import slim, stop

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "systemd" / "debian"
CACHE = ROOT / ".cache" / "wheels"


@dataclass(frozen=True)
class Release:
    """What a release brings, and the package depends on."""

    python: str
    glibc: int
    """Minor version of the C library: wheels for a newer one do not fit."""
    depends: tuple[str, ...] = ()

    @property
    def minor(self) -> int:
        return int(self.python.partition(".")[2])


RELEASES = {
    "bookworm": Release("3.11", 36),
    "trixie": Release("3.13", 41, ("python3-numpy (>= 1:2)",)),  # picamera2 is built against this one
    "noble": Release("3.12", 39),
    "jammy": Release("3.10", 35),
}
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
NEEDED = {"dh": "debhelper", "dpkg-buildpackage": "dpkg-dev", "git": "git"}
"""Programs of the building machine, and the packages that bring them."""


def run(*command: str | Path, **more: object) -> str:
    """The standard output of a program that must succeed; else the last of what it said, and the end."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)  # type: ignore[call-overload]
    if done.returncode:
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        errors = [line.partition(" ")[2] for line in told if line.startswith("ERROR: ")]
        first = [line for line in told if ": error: " in line][:1]  # the later ones only say that there was one
        stop(f"{Path(command[0]).name} failed: " + " ".join(errors or first or told[-1:]))
    return str(done.stdout)


def tags(release: Release, arch: str) -> list[str]:
    """Pip's options for a machine that is not this one."""
    machine = MACHINES[arch]
    names = [f"manylinux_2_{minor}_{machine}" for minor in range(release.glibc, 16, -1)]
    platforms = [f"--platform={name}" for name in [*names, f"manylinux2014_{machine}"]]
    abis = [f"--abi={abi}" for abi in (f"cp3{release.minor}", "abi3", "none")]
    return [*platforms, *abis, f"--python-version={release.python}", "--implementation=cp", "--only-binary=:all:"]


def pip(*arguments: str | Path) -> None:
    run(sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check", "--no-deps")


def wheels(lock: Path, codename: str, arch: str) -> Path:
    """The folder with every wheel of `lock`: fetched once, into a folder that has its name only when all are there."""
    key = sha256(lock.read_bytes()).hexdigest()[:12]
    folder = CACHE / f"{codename}-{arch}-{key}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            part = Path(scratch) / "wheels"
            pip("download", "--require-hashes", *tags(RELEASES[codename], arch), "--dest", part, "-r", lock)
            part.rename(folder)
    return folder


def install(lock: Path, fetched: Path, codename: str, arch: str, site: Path) -> None:
    """Unpack what was fetched into `site`. Once more with hashes: a file that was cut short in the cache ends the build."""
    known = ("--no-index", "--find-links", fetched, "--require-hashes", "-r", lock)
    pip("install", *known, "--no-compile", *tags(RELEASES[codename], arch), "--target", site)


def source_files() -> Iterator[Path]:
    """What git knows of this project: nothing that a working tree gathered goes into a package."""
    for name in run("git", "-C", ROOT, "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            yield Path(name)


def own_wheel(folder: Path) -> Path:
    """The wheel of edged itself, from the files that git knows, dated by the last commit."""
    source = folder / "source"
    for name in source_files():
        if name.parts[0] not in ("tests", "convert"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    pip("wheel", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    shutil.rmtree(source)
    return next(folder.glob("edged-*.whl"))


def interpreter(release: Release) -> Path:
    """A Python of the release's minor version on this machine, to compile modules ahead: a device must not at each start."""
    for folder in f"{os.defpath}:{os.environ.get('PATH', '')}".split(":"):
        found = Path(folder) / f"python{release.python}"
        if found.is_file() and _answers(found):
            return found
    return stop(
        f"python{release.python} compiles the modules, and is not on the PATH; `uv python install {release.python}`"
    )


def _answers(python: Path) -> bool:
    """Some version managers put programs on the PATH that only say that there is nothing behind them."""
    return subprocess.run([python, "-I", "-c", ""], capture_output=True, check=False).returncode == 0


def environment(place: Path, prefix: str, codename: str, arch: str) -> None:
    """Lay out the virtual environment that will stand in `prefix`, below `place`."""
    release = RELEASES[codename]
    lock = ROOT / "requirements" / "debian" / f"{codename}.txt"
    home = place / prefix.lstrip("/")
    site = home / "lib" / f"python{release.python}" / "site-packages"
    install(lock, wheels(lock, codename, arch), codename, arch, site)
    with tempfile.TemporaryDirectory() as scratch:
        own = own_wheel(Path(scratch))
        pip("install", "--no-index", "--no-compile", "--target", Path(scratch) / "own", own)
        shutil.rmtree(Path(scratch) / "own" / "bin")
        shutil.move(Path(scratch) / "own" / "share", home / "share")
        shutil.copytree(Path(scratch) / "own", site, dirs_exist_ok=True)
    slim(site, MACHINES[arch])
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {release.python}\n"
    )
    (home / "bin").mkdir()
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to("/usr/bin/python3")
    program = home / "bin" / "edged"
    program.write_text(f"#!{prefix}/bin/python3\nfrom edged.cli import main\n\nmain()\n")
    program.chmod(0o755)
    # Modules carry the hash of nothing: they belong to dpkg, and are never looked at again.
    run(
        interpreter(release),
        "-I",
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode=unchecked-hash",
        "-s",
        place,
        "-p",
        "/",
        site,
    )


def links(place: Path, prefix: str) -> None:
    """The names that do not change with the version."""
    opt = place / "opt" / "edged"
    (opt / "bin").mkdir()
    (opt / "share").mkdir()
    inside = Path(prefix).relative_to("/opt/edged")
    relative = Path("..") / inside
    # With these two the folder itself is the environment: its bin/python finds the libraries.
    for name in ("lib", "pyvenv.cfg"):
        (opt / name).symlink_to(inside / name)
    for name in ("edged", "python", "python3"):
        (opt / "bin" / name).symlink_to(relative / "bin" / name)
    (opt / "share" / "edged").symlink_to(relative / "share" / "edged")
    (place / "usr" / "bin").mkdir(parents=True)
    (place / "usr" / "bin" / "edged").symlink_to("/opt/edged/bin/edged")


def documents(place: Path, version: str, day: str) -> None:
    """The config, what announces the box, completion, and the manual page made of the command line's own help."""
    command = Path(sys.executable).parent / "edged"
    files = {
        "etc/edged/edged.toml": (ROOT / "config" / "edged.toml").read_text(),
        "etc/issue.d/edged.issue": (RECIPE / "edged.issue").read_text(),
        "etc/avahi/services/edged.service": (RECIPE / "edged.avahi").read_text().replace("@VERSION@", version),
        "usr/share/bash-completion/completions/edged": run(command, "completion", "bash"),
        "usr/share/zsh/vendor-completions/_edged": run(command, "completion", "zsh"),
        "usr/share/fish/vendor_completions.d/edged.fish": run(command, "completion", "fish"),
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    page = place / "usr/share/man/man1/edged.1.gz"
    page.parent.mkdir(parents=True)
    page.write_bytes(gzip.compress(run(sys.executable, RECIPE / "manpage.py", version, day).encode(), mtime=0))


def recipe(folder: Path, codename: str, arch: str, version: str, date: str) -> None:
    """debian/: what debhelper reads, with what differs between releases put in."""
    release = RELEASES[codename]
    shutil.copytree(
        RECIPE, folder, ignore=shutil.ignore_patterns("*.py", "*.avahi", "*.issue", "__pycache__"), dirs_exist_ok=True
    )
    # debhelper knows a unit called edged as it is, and any other by the name of the package in front of it.
    units = sorted(path for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".timer"))
    for path in units:
        shutil.copyfile(path, folder / (path.name if path.stem == "edged" else f"edged.{path.name}"))
    for name in ("sysusers", "tmpfiles"):
        shutil.copyfile(ROOT / "systemd" / f"edged.{name}.conf", folder / f"edged.{name}")
    licence = "".join(f" {line or '.'}\n" for line in (ROOT / "LICENSE").read_text().splitlines()[4:])
    replaced = {"@PYTHON@": release.python, "@CODENAME@": codename, "@LICENSE@\n": licence}
    for name in ("edged.preinst", "copyright"):
        text = (folder / name).read_text()
        for mark, value in replaced.items():
            text = text.replace(mark, value)
        (folder / name).write_text(text)
    depends = (
        f"python3 (>= {release.python}), python3 (<< 3.{release.minor + 1})",
        "libc6 (>= 2.28), libstdc++6, liblapack3, libblas3, systemd, tzdata",
        *release.depends,
    )
    control = (folder / "control").read_text().replace("@DEPENDS@", ", ".join(depends)).replace("@ARCH@", arch)
    (folder / "control").write_text(control)
    (folder / "changelog").write_text(
        f"edged ({version}) {codename}; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- edged <edged@localhost>  {date}\n"
    )


def build(codename: str, arch: str, out: Path) -> Path:
    """The finished package in `out`, with its bill of materials beside it."""
    sys.path.insert(0, str(ROOT))
    from edged import __version__  # the one place that says it

    epoch, date, day = run("git", "-C", ROOT, "log", "-1", "--format=%ct|%cD|%cs").strip().split("|")
    os.environ.update(
        SOURCE_DATE_EPOCH=epoch, TZ="UTC", LC_ALL="C.UTF-8", PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1"
    )
    os.umask(0o022)
    # For Debian, ~ comes before nothing: 0.3.0~dev0 is older than 0.3.0, and updated to it.
    version, prefix = f"{__version__.replace('.dev', '~dev')}+{codename}1", f"/opt/edged/releases/{__version__}"
    out.mkdir(parents=True, exist_ok=True)
    interpreter(RELEASES[codename])  # a minute earlier than it is needed
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        tree = Path(scratch) / "edged"
        place = tree / "debian" / "payload"
        environment(place, prefix, codename, arch)
        links(place, prefix)
        documents(place, version, day)
        recipe(tree / "debian", codename, arch, version, date)
        bill = Path(scratch) / f"edged_{version}_{arch}.cdx.json"
        run(
            sys.executable,
            ROOT / "requirements" / "sbom.py",
            bill,
            ROOT / "requirements" / "debian" / f"{codename}.txt",
        )
        # -d: debhelper is all it needs, and the machine may have it for another architecture than the package's.
        run("dpkg-buildpackage", "--build=binary", f"--host-arch={arch}", "-d", "-us", "-uc", cwd=tree)
        package = Path(scratch) / f"edged_{version}_{arch}.deb"
        bill.replace(out / bill.name)
        package.replace(out / package.name)
    return out / package.name


def programs(arch: str) -> dict[str, str]:
    """What must be there to build for `arch`: debhelper strips another machine's libraries with that machine's tool."""
    machine = MACHINES[arch]
    if os.uname().machine == machine:
        return NEEDED
    return NEEDED | {f"{machine}-linux-gnu-strip": f"binutils-{machine.replace('_', '-')}-linux-gnu"}


def main() -> None:
    asked = argparse.ArgumentParser(description="Builds the Debian package.")
    asked.add_argument("codename", choices=RELEASES)
    asked.add_argument("arch", choices=MACHINES)
    asked.add_argument("out", type=Path)
    given = asked.parse_args()
    for program, package in programs(given.arch).items():
        if shutil.which(program) is None:
            stop(f"{program} is missing; apt install {package}")
    package = build(given.codename, given.arch, given.out)
    size = run("dpkg-deb", "--field", package, "Installed-Size").strip()
    print(f"{package}: {package.stat().st_size / 1e6:.1f} MB, {int(size) / 1024:.0f} MiB installed")


if __name__ == "__main__":
    main()
