"""The recipes for images name only what there is: our files, and the layers of rpi-image-gen; Imager's manifest is right."""

import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edged.firstboot.settings import settings_of
from edged.toml import load_toml

ROOT = Path(__file__).parents[1]
RPI = ROOT / "systemd" / "image" / "rpi"
LAYER = (RPI / "layer" / "edged.yaml").read_text()


def test_the_example_on_the_partition_is_a_whole_file(tmp_path):
    path = ROOT / "config" / "stick" / "edged.toml"
    settings = settings_of(load_toml(path), path, tmp_path)
    assert settings.network.wifi
    assert settings.ssh_keys
    assert settings.secrets["mqtt-password"]


def test_every_path_of_the_layer_exists():
    hooks = LAYER.partition("customize-hooks:")[2]
    assert "../overlay/." in hooks
    assert (RPI / "../overlay/etc/systemd/system.conf.d/edged-watchdog.conf").is_file()
    assert "cp pkgs/edged_arm64.deb" in hooks
    shipped = re.findall(r'"\$1"/opt/edged/share/edged/(\S+)', hooks)
    assert shipped == ["config/stick/edged.toml"]
    assert all((ROOT / path).is_file() for path in shipped)
    assert {path.split()[0] for path in re.findall(r"^    - ([a-z-]+) ", hooks, re.MULTILINE)} == {
        "chroot",
        "cp",
        "install",
        "rm",
    }


@pytest.mark.parametrize("board", ["4", "5"])
def test_rpi_image_gen_knows_every_layer(board, tmp_path):
    """Its own linter and resolver say so, where a checkout of it and its Python packages are at hand."""
    checkout = Path(os.environ.get("RPI_IMAGE_GEN", "../rpi-image-gen"))
    if not (checkout / "bin" / "ig").exists():
        pytest.skip("RPI_IMAGE_GEN names no checkout of rpi-image-gen")

    def ig(*arguments):
        command = [os.environ.get("RPI_IMAGE_GEN_PYTHON", sys.executable), checkout / "bin" / "ig", *arguments]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "none").touch()
    (tmp_path / "dynamic").mkdir()
    ig("metadata", "--lint", RPI / "layer" / "edged.yaml")
    given = ig("metadata", "--emit", checkout / "registry.defs")
    ig(
        "config",
        "--path",
        RPI / "config",
        f"edged-pi{board}.yaml",
        "--overrides",
        tmp_path / "none",
        "--write-to",
        tmp_path / "user",
    )
    given += (tmp_path / "user").read_text()
    for key, value in {
        **{f"DEB_{side}_ARCH": "arm64" for side in ("BUILD", "HOST")},
        **{f"DEB_{side}_GNU_TYPE": "aarch64-linux-gnu" for side in ("BUILD", "HOST")},
        "TOOLCHAIN_MODE": "native",
        "DYNROOT": tmp_path,
        "SRCROOT": RPI,
        "IGTOP": checkout,
        "IGROOT": checkout,
        "LAYER_HOOKS": checkout / "layer-hooks",
        "RPI_TEMPLATES": checkout / "templates" / "rpi",
    }.items():
        given += f'{key}="{value}"\n'
    (tmp_path / "env").write_text(given)
    layers = re.findall(r'^IGconf_(?:device_layer|image_layer|layer_\w+)="?([\w-]+)', given, re.MULTILINE)
    paths = [f"DYNlayer={tmp_path / 'dynamic'}", f"ours={RPI / 'layer'}"]
    paths += [f"{name}={checkout / name}" for name in ("layer", "device", "image")]
    out = ("--env-out", tmp_path / "out", "--plan-out", tmp_path / "plan")
    ig("pipeline", "--env-in", tmp_path / "env", "--layers", "essential", *layers, "--path", ":".join(paths), *out)
    plan = [line.partition(":")[0] for line in (tmp_path / "plan").read_text().splitlines()]
    assert plan[-1] == "edged"
    assert {f"rpi{board}", "image-rpios", "network-manager", "rpi-debian-trixie"} <= set(plan)
    assert "systemd-net-min" not in plan, "two programs would set up the network"


def test_imager_is_told_what_it_checks(tmp_path):
    unpacked = os.urandom(3 << 20)
    image = tmp_path / "edged-pi5.img.xz"
    image.write_bytes(lzma.compress(unpacked, preset=0))
    out = tmp_path / "edged.rpi-imager-manifest"
    manifest = [sys.executable, RPI / "manifest.py", "https://example.org/images/", image, out]
    subprocess.run(manifest, check=True)
    (entry,) = json.loads(out.read_text())["os_list"]
    assert entry["url"] == "https://example.org/images/edged-pi5.img.xz"
    assert (entry["extract_size"], entry["extract_sha256"]) == (len(unpacked), hashlib.sha256(unpacked).hexdigest())
    assert entry["image_download_size"] == image.stat().st_size
    assert entry["devices"] == ["pi5-64bit"]
    required = {
        "name",
        "description",
        "icon",
        "url",
        "extract_size",
        "extract_sha256",
        "image_download_size",
        "release_date",
    }
    assert required <= set(entry)

    image.write_bytes(image.read_bytes()[:-100])
    out.unlink()
    done = subprocess.run(manifest, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not out.exists()


def test_an_image_is_not_written_over_by_the_manifest_that_somebody_forgot_to_name(tmp_path):
    images = [tmp_path / f"edged-pi{board}.img.xz" for board in "45"]
    for image in images:
        image.write_bytes(lzma.compress(bytes(1000)))
    before = images[1].read_bytes()
    command = [sys.executable, RPI / "manifest.py", "https://example.org", *images]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert images[1].read_bytes() == before
    out = tmp_path / "none" / "a.rpi-imager-manifest"
    done = subprocess.run([*command, out], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No such file or directory" in done.stderr


def test_the_folders_of_the_system_keep_their_modes_whatever_those_of_the_checkout_are(tmp_path):
    """Who clones with a umask of 077 would make an image whose / only root may enter."""
    overlay, system = tmp_path / "overlay" / "etc", tmp_path / "system" / "etc"
    for folder, mode in ((overlay, 0o700), (system, 0o755)):
        folder.mkdir(parents=True)
        for each in (folder, folder.parent):
            each.chmod(mode)
    (overlay / "a.conf").touch()
    (tmp_path / "rpi").mkdir()
    (hook,) = re.findall(r"^    - (cp .*overlay/.*)$", LAYER, re.MULTILINE)
    subprocess.run(["sh", "-euc", hook, "sh", system.parent], cwd=tmp_path / "rpi", check=True)
    assert (system / "a.conf").exists()
    assert [each.stat().st_mode & 0o777 for each in (system.parent, system)] == [0o755, 0o755]
