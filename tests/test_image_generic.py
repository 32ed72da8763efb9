"""The image for UEFI machines, made of a stand-in for Debian: its partitions, what lies on them, and what a failure leaves.

`make image-check` boots the real one.
"""

import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "systemd" / "image" / "generic" / "build.sh"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
MMDEBSTRAP = """#!/bin/sh
set -eu
mkdir -p root/etc loader
echo here >root/etc/marker
tar -C root -cf "$SCRATCH/root.tar" .
shim=$SCRATCH/loader/usr/lib/shim grub=$SCRATCH/loader/usr/lib/grub/x86_64-efi-signed
mkdir -p "$shim" "$grub"
echo shim >"$shim/shimx64.efi.signed"
echo grub >"$grub/grubx64.efi.signed"
printf '%s\\n' "$@" >arguments
"""


def package(folder: Path, name: str = "edged", version: str = "0.2.0+trixie1", arch: str = "amd64") -> Path:
    (folder / "deb/DEBIAN").mkdir(parents=True, exist_ok=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: edged <edged@localhost>\nDescription: x\n"
    (folder / "deb/DEBIAN/control").write_text(control)
    subprocess.run(["dpkg-deb", "--build", folder / "deb", folder / "edged.deb"], capture_output=True, check=True)
    return folder / "edged.deb"


def build(folder: Path, deb: Path, mmdebstrap: str = MMDEBSTRAP, board: str = "generic-amd64"):
    """The script with a stand-in for mmdebstrap, in `folder`, which it may fill."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/mmdebstrap").write_text(mmdebstrap)
    (folder / "bin/mmdebstrap").chmod(0o755)
    # The processor that an image is for is this machine's.
    (folder / "bin/dpkg").write_text(f"#!/bin/sh\necho {board.partition('-')[2]}\n")
    (folder / "bin/dpkg").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{PATH}", "XZ_LEVEL": "0"}
    command = ["bash", BUILD, board, deb, folder / "out"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _tools():
    programs = ("dpkg-deb", "mke2fs", "mkfs.vfat", "mcopy", "sfdisk", "bmaptool")
    missing = [name for name in programs if not shutil.which(name, path=PATH)]
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")


@pytest.mark.parametrize(
    ("given", "board", "told"),
    [
        ({}, "generic-pi", "BOARD is generic-amd64 or generic-arm64, not generic-pi"),
        ({"name": "other"}, "generic-amd64", "is not edged for trixie and amd64"),
        ({"version": "0.2.0+bookworm1"}, "generic-amd64", "is not edged for trixie and amd64"),
        ({"arch": "arm64"}, "generic-amd64", "is not edged for trixie and amd64"),
    ],
)
def test_what_cannot_be_made_is_refused_in_one_line(tmp_path, given, board, told):
    done = build(tmp_path, package(tmp_path, **given), board=board)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("image: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("#!/bin/sh\necho E: no such mirror >$SCRATCH/log; exit 1\n", "the system was not made; E: no such mirror"),
        ("#!/bin/sh\necho short >$SCRATCH/root.tar\n", "the root file system was not made"),
    ],
)
def test_a_failure_leaves_nothing(tmp_path, script, told):
    done = build(tmp_path, package(tmp_path), script)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"image: {told}"
    assert list((tmp_path / "out").iterdir()) == []


def test_partitions_and_what_lies_on_them(tmp_path):
    done = build(tmp_path, package(tmp_path))
    assert done.returncode == 0, done.stderr
    name = "edged-generic-amd64.img"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{name}.bmap",
        f"{name}.xz",
        f"{name}.xz.sha256",
    ]
    packed = (tmp_path / "out" / f"{name}.xz").read_bytes()
    assert (tmp_path / "out" / f"{name}.xz.sha256").read_text().split() == [
        hashlib.sha256(packed).hexdigest(),
        f"{name}.xz",
    ]
    disk = tmp_path / name
    disk.write_bytes(lzma.decompress(packed))
    table = json.loads(tool("sfdisk", "-J", disk))["partitiontable"]
    assert table["label"] == "gpt"
    loader, card, root = table["partitions"]
    assert [part["type"].lower()[:8] for part in (loader, card, root)] == ["c12a7328", "ebd0a0a2", "4f68bce3"]
    assert max(part["start"] for part in table["partitions"]) == root["start"], "the last one can grow"

    efi, settings = (f"{disk}@@{part['start'] * 512}" for part in (loader, card))
    assert tool("mtype", "-i", efi, "::EFI/BOOT/BOOTX64.EFI") == "shim\n"
    assert tool("mtype", "-i", efi, "::EFI/BOOT/grubx64.efi") == "grub\n"
    menu = tool("mtype", "-i", efi, "::EFI/debian/grub.cfg")
    system = f"{disk}?offset={root['start'] * 512}"
    (uuid,) = re.findall(r"Filesystem UUID: +(\S+)", tool("dumpe2fs", "-h", system))
    assert f"--set=root {uuid}\n" in menu
    assert f"root=UUID={uuid} " in menu
    assert tool("debugfs", "-R", "cat /etc/marker", system) == "here\n"
    example = (ROOT / "config/stick/edged.toml").read_text()
    assert tool("mtype", "-i", settings, "::edged.toml.example") == example
    assert "EDGED-CARD" in tool("mlabel", "-s", "-i", settings, "::")


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_debian_has_every_package(tmp_path, arch):
    build(tmp_path, package(tmp_path, arch=arch), board=f"generic-{arch}")
    (included,) = re.findall(r"^--include=(.*)$", (tmp_path / "arguments").read_text(), re.MULTILINE)
    names = included.split(",")
    assert {f"linux-image-{arch}", "network-manager", "openssh-server", "avahi-daemon", "systemd-repart"} <= set(names)
    missing = [name for name in names if arch not in debian_packages().get(name, ())]
    assert missing == []


def test_debian_has_every_package_of_the_raspberry_pi_s_layer():
    layer = (ROOT / "systemd/image/rpi/layer/edged.yaml").read_text()
    names = re.findall(
        r"^    - ([a-z0-9.+-]+)$", layer.partition("packages:")[2].partition("customize-hooks")[0], re.MULTILINE
    )
    assert "avahi-daemon" in names
    missing = [
        name
        for name in names
        if "arm64" not in debian_packages().get(name, ()) + debian_packages().get(f"rpi:{name}", ())
    ]
    assert missing == []


def debian_packages() -> dict[str, tuple[str, ...]]:
    """For each name, the processors for which there is one; the file says where that was read."""
    lines = (ROOT / "tests/fixtures/debian_packages.txt").read_text().splitlines()
    return {
        name: tuple(processors) for name, *processors in (line.split() for line in lines if not line.startswith("#"))
    }


def tool(*command: object) -> str:
    environment = {**os.environ, "PATH": PATH}
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_missing_is_said_before_the_package_is_built(tmp_path):
    """Debian's own folders are on its PATH always: a board of another processor, which nothing here runs, stands for a tool."""
    (tmp_path / "dpkg").write_text("#!/bin/sh\necho amd64\n")
    (tmp_path / "arch-test").write_text("#!/bin/sh\nexit 1\n")
    for name in ("dpkg", "arch-test"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "mmdebstrap").symlink_to("/bin/true")
    environment = {**os.environ, "PATH": f"{tmp_path}:{PATH}"}
    asked = [["bash", BUILD, "generic-amd64"], ["bash", BUILD, "generic-arm64"]]
    done = [subprocess.run(one, env=environment, capture_output=True, text=True, check=False) for one in asked]
    assert [one.returncode for one in done] == [0, 1]
    assert "apt install arch-test qemu-user-static" in done[1].stderr
    recipe = re.search(r"^image: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert recipe.index("build.sh $(BOARD)\n") < recipe.index(" deb ")
