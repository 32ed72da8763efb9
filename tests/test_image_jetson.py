"""flash-jetson against a tree of stubs that write down how they were called: order, consent, and going on after a failure."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edged.toml import load_toml

JETSON = Path(__file__).parents[1] / "systemd" / "image" / "jetson"
SOURCE = load_toml(JETSON / "l4t.toml")
STUBS = {
    "tools/l4t_flash_prerequisites.sh": "",
    "tools/samplefs/nv_build_samplefs.sh": """
mkdir -p fs/etc/ssh fs/tmp fs/home
printf 'root:x:0:0::/root:/bin/sh\\n' >fs/etc/passwd
printf 'root:*:1:::::\\n' >fs/etc/shadow
echo key >fs/etc/ssh/ssh_host_rsa_key
echo 0123 >fs/etc/machine-id
tar -C fs -cjf sample_fs.tbz2 .
""",
    "apply_binaries.sh": "echo oem >rootfs/etc/target",
    "tools/l4t_create_default_user.sh": """
[ "$(cat rootfs/etc/target)" = oem ]
if grep "^$2:" rootfs/etc/passwd; then exit 1; fi
echo "$2:x:1000:1000::/home/$2:/bin/sh" >>rootfs/etc/passwd
echo "$2:\\$6\\$secret:1:::::" >>rootfs/etc/shadow
mkdir rootfs/home/$2
echo user >rootfs/etc/target
""",
    "tools/kernel_flash/l4t_initrd_flash.sh": "",
    "unshare": "cp $7/tmp/edged.deb $7/etc/installed",
}
"""What each does of NVIDIA's script's work. `unshare` stands in for apt in the board's system."""

HEAD = """#!/bin/sh
set -eu
called="$(basename $0) $* $(env | grep ^BOARD | sort)"
echo $called >>{record}
"""
TAIL = """
if grep -qs "^$(basename $0) " {fail}; then
    way=$(cut -d' ' -f2- {fail})
    rm {fail}
    eval "$way"
fi
"""

ORDER = [
    "l4t_flash_prerequisites.sh",
    "nv_build_samplefs.sh",
    "apply_binaries.sh",
    "l4t_create_default_user.sh",
    "unshare",
    "l4t_initrd_flash.sh",
]


class Bench:
    """A machine with NVIDIA's archive, a package, and a way to make one script fail once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work, self.usb = folder, folder / "work", folder / "usb"
        self.record, self.fail = folder / "record", folder / "fail"
        self.checkout_mode, self.umask = 0o755, 0o022
        self.package = folder / "edged_0.2.0+noble1_arm64.deb"
        self.package.write_bytes(b"package")
        tree = folder / "made" / "Linux_for_Tegra"
        tree.mkdir(parents=True)
        (tree / SOURCE["licence"]).write_text("Terms of NVIDIA\n")
        (folder / "bin").mkdir()
        for name, script in STUBS.items():
            path = (folder / "bin" if name == "unshare" else tree) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEAD.format(record=self.record) + script + TAIL.format(fail=self.fail))
            path.chmod(stat.S_IRWXU)
        self.archive = folder / "l4t.tbz2"
        subprocess.run(["tar", "-C", tree.parent, "-cjf", self.archive, tree.name], check=True)
        self.sha256 = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        (folder / "binfmt").touch()
        self.usb.mkdir()

    def attach(self, product: str) -> None:
        device = self.usb / f"1-{len(list(self.usb.iterdir()))}"
        device.mkdir()
        (device / "idVendor").write_text("0955\n")
        (device / "idProduct").write_text(f"{product}\n")

    def call(self, what: str, *more: str, answer: str = "", board: str = "orin-nano") -> tuple[int, str]:
        """The status, and what was said on standard error. The host is what the bench says, and the user root."""
        host = (
            f"import os, pathlib, platform, runpy, sys; sys.path.insert(0, {str(JETSON)!r}); import flash_jetson as f\n"
            f"f.BINFMT, f.USB_DEVICES = pathlib.Path({str(self.folder / 'binfmt')!r}), pathlib.Path({str(self.usb)!r})\n"
            "os.geteuid, platform.machine = lambda: 0, lambda: 'x86_64'\n"
            "os.fchown = lambda *_: None\n"
            f"synced, state = pathlib.Path({str(self.folder / 'synced')!r}), pathlib.Path({str(self.work)!r}) / f.STATE\n"
            "os.sync = lambda: synced.open('a').write(state.read_text() + '\\n')\n"
            f"os.umask({self.umask}); f.OVERLAY = pathlib.Path({str(self.overlay())!r})\n"
            "f.main(sys.argv[1:])\n"
        )
        options = ["--board", board, "--package", str(self.package), "--folder", str(self.work)]
        options += ["--url", f"file://{self.archive}", "--sha256", self.sha256, *more]
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        command = [sys.executable, "-c", host, what, *options]
        done = subprocess.run(command, input=answer, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    def overlay(self) -> Path:
        """What all images have, as a checkout with these modes has it."""
        copy = self.folder / "overlay"
        shutil.copytree(JETSON.parent / "overlay", copy, dirs_exist_ok=True)
        for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            folder.chmod(self.checkout_mode)
        return copy

    def called(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []

    def names(self) -> list[str]:
        return [line.split()[0] for line in self.called()]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_everything_is_called_once_and_in_order(bench):
    status, said = bench.call("prepare", answer="yes\n")
    assert status == 0, said
    assert bench.names() == ORDER
    _, sample, _, user, _, images = bench.called()
    assert "--distro ubuntu --flavor minimal --version noble" in sample
    assert "-u edged-admin" in user
    assert "-n edged --accept-license" in user
    assert "--external-device nvme0n1p1" in images
    assert "--no-flash jetson-orin-nano-devkit-super internal" in images
    assert "BOARDID=3767" in images
    rootfs = bench.work / "Linux_for_Tegra" / "rootfs"
    assert "edged-admin:*:1" in (rootfs / "etc/shadow").read_text(), "somebody has a password"
    assert (rootfs / "etc/target").read_text() == "user\n", "the first boot would ask for a user"
    assert (rootfs / "etc/machine-id").read_text() == ""
    assert not list(rootfs.glob("etc/ssh/ssh_host_*"))
    assert (rootfs / "etc/systemd/system.conf.d/edged-watchdog.conf").is_file()
    assert (rootfs / "etc/installed").read_bytes() == b"package"
    assert bench.call("prepare") == (0, "")
    assert bench.names() == ORDER, "a step that was done was done again"


def test_what_a_step_made_is_on_the_disk_before_the_step_is_written_down(bench):
    assert bench.call("prepare", "--accept-licence")[0] == 0
    steps = [len(json.loads(line)) for line in (bench.folder / "synced").read_text().splitlines()]
    assert steps == list(range(8))


def test_the_folders_of_the_system_keep_their_modes(bench):
    """Whatever those of the checkout are, and the umask of who calls it: others than root must get through /."""
    bench.checkout_mode, bench.umask = 0o700, 0o077
    status, said = bench.call("prepare", "--accept-licence")
    assert status == 0, said
    rootfs = bench.work / "Linux_for_Tegra" / "rootfs"
    folders = [rootfs / name for name in ("", "etc/systemd", "etc/systemd/system.conf.d")]
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o755] * 3


@pytest.mark.parametrize("way", ["exit 7", "kill -9 $PPID"], ids=["fails", "power cut"])
@pytest.mark.parametrize("script", ORDER)
def test_it_goes_on_where_it_stopped(bench, script, way):
    bench.fail.write_text(f"{script} {way}")
    status, said = bench.call("prepare", "--accept-licence")
    assert status != 0
    if way.startswith("exit"):
        assert said.splitlines()[-1] == (
            f"flash-jetson: {script} failed with status 7; call flash-jetson again to go on from this step"
        )
    failed = ORDER.index(script)
    assert bench.names() == ORDER[: failed + 1]
    status, said = bench.call("prepare")
    assert status == 0, said
    again = failed - (script == "l4t_create_default_user.sh")  # apply_binaries.sh comes right before it, always
    assert bench.names() == ORDER[: failed + 1] + ORDER[again:]
    rootfs = bench.work / "Linux_for_Tegra" / "rootfs"
    assert (rootfs / "etc/passwd").read_text().count("edged-admin:x") == 1
    assert "edged-admin:*:1" in (rootfs / "etc/shadow").read_text()


@pytest.mark.parametrize("answer", ["no\n", "", "y\n"])
def test_nothing_is_made_without_consent(bench, answer):
    status, said = bench.call("prepare", answer=answer)
    assert status == 1
    assert said.splitlines()[-1] == "flash-jetson: the licence was not accepted; nothing was made of it"
    assert bench.called() == []
    assert bench.call("prepare", answer="yes\n")[0] == 0


def test_an_archive_that_is_not_the_pinned_one_is_thrown_away(bench):
    bench.archive.write_bytes(b"something else")
    status, said = bench.call("prepare", "--accept-licence")
    assert status == 1
    assert "and not the pinned one; it was thrown away" in said.splitlines()[-1]
    assert sorted(path.name for path in bench.work.iterdir()) == ["lock", "state.json"]


def test_another_package_makes_the_last_two_steps_anew(bench):
    assert bench.call("prepare", "--accept-licence")[0] == 0
    bench.package.write_bytes(b"newer")
    assert bench.call("prepare")[0] == 0
    assert bench.names() == ORDER + ORDER[-2:]
    assert (bench.work / "Linux_for_Tegra/rootfs/etc/installed").read_bytes() == b"newer"
    assert bench.call("prepare") == (0, "")
    assert bench.names() == ORDER + ORDER[-2:]


def test_a_board_is_flashed_only_with_what_was_made_for_it(bench):
    assert "are not ready" in bench.call("flash")[1]
    assert bench.call("prepare", "--accept-licence")[0] == 0
    assert "are not ready" in bench.call("flash", board="orin-nx-16g")[1]
    assert "USB shows none" in bench.call("flash")[1]
    bench.attach("7323")
    assert "USB shows 7323 below 0955" in bench.call("flash")[1]
    assert bench.names() == ORDER
    (device,) = bench.usb.iterdir()
    (device / "idProduct").write_text("7523\n")
    assert bench.call("flash") == (0, "")
    first, second = bench.called()[-2:]
    assert second.split() == first.replace("--no-flash", "--flash-only").partition(" BOARDID")[0].split()
    bench.attach("7523")
    assert "USB shows 7523, 7523" in bench.call("flash")[1], "two boards: which one?"


def test_a_package_for_another_system_is_refused(bench):
    bench.package = bench.package.rename(bench.folder / "edged_0.2.0+trixie1_arm64.deb")
    assert bench.call("prepare")[1].endswith("make deb CODENAME=noble ARCH=arm64\n")


def test_what_is_pinned_is_whole():
    assert SOURCE["url"].startswith("https://developer.nvidia.com/")
    assert SOURCE["version"] in SOURCE["url"]
    assert len(bytes.fromhex(SOURCE["sha256"])) == 32
    assert all({"config", "identity", "usb", "storage"} == set(board) for board in SOURCE["board"].values())
