"""The Debian package: what is locked exists for every machine, and a build that fails says why and leaves nothing."""

import hashlib
import importlib.util
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "systemd" / "debian"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, RECIPE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


slim = load("slim")
build = load("build")

MACHINES = [(codename, arch) for codename in build.RELEASES for arch in build.MACHINES]


def wheel() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("thing.py", "x = 1\n" * 500)
        archive.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    return data.getvalue()


WHEEL = wheel()


class Registry(BaseHTTPRequestHandler):
    """A package index with one wheel, and one fault."""

    fault = ""

    def do_GET(self):
        if self.path.endswith(".whl"):
            data = WHEEL[:-1] + b"!" if self.fault == "other bytes" else WHEEL
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if self.fault == "cut short" else data)
            self.close_connection = True
            return
        if self.fault == "goes away":  # before it answers: nobody may come in between
            self.server.socket.close()
        page = b'<a href="/thing-1.0-py3-none-any.whl">thing-1.0-py3-none-any.whl</a>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)
        if self.fault == "goes away":
            threading.Thread(target=self.server.shutdown).start()

    def log_message(self, *_):
        pass


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """Gives a function that starts a registry with a fault; the builder asks it, and keeps its wheels below `tmp_path`."""
    servers = []

    def start(fault):
        handler = type("Faulty", (Registry,), {"fault": fault})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")

    for name, value in {"CONFIG_FILE": "/dev/null", "RETRIES": "0", "TIMEOUT": "20", "NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build, "CACHE", tmp_path / "wheels")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "lock.txt"
    path.write_text(f"thing==1.0 --hash=sha256:{hashlib.sha256(WHEEL).hexdigest()}\n")
    return path


def test_wheels_are_fetched_once(registry, lock):
    registry("")
    folder = build.wheels(lock, "bookworm", "arm64")
    assert [path.read_bytes() for path in folder.iterdir()] == [WHEEL]
    registry("goes away")
    assert build.wheels(lock, "bookworm", "arm64") == folder


@pytest.mark.parametrize("fault", ["cut short", "other bytes", "goes away"])
def test_a_registry_with_a_fault_ends_the_build_with_one_line_and_leaves_nothing(registry, lock, fault):
    registry(fault)
    with pytest.raises(SystemExit) as stopped:
        build.wheels(lock, "bookworm", "arm64")
    assert re.fullmatch(r"deb: \S+ failed: .+", str(stopped.value)), stopped.value
    assert list(build.CACHE.iterdir()) == []


def test_a_wheel_cut_short_in_the_cache_ends_the_build(registry, lock, tmp_path):
    registry("")
    folder = build.wheels(lock, "bookworm", "arm64")
    path = next(folder.iterdir())
    path.write_bytes(WHEEL[:100])
    with pytest.raises(SystemExit):
        build.install(lock, folder, "bookworm", "arm64", tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(("codename", "arch"), MACHINES)
def test_every_lock_has_wheels_for_its_python_and_machine(codename, arch, tmp_path):
    """Asks the package index what there is; downloads no wheel where the index tells what is in it."""
    lock = ROOT / "requirements" / "debian" / f"{codename}.txt"
    report = tmp_path / "report.json"
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", "--quiet", "--retries=1"]
    options += [*build.tags(build.RELEASES[codename], arch), f"--report={report}", f"--target={tmp_path / 'site'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, "-r", lock],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and re.search(r"Connection|Failed to establish|Name or service", done.stderr):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    files = [one["download_info"]["url"].rpartition("/")[2] for one in json.loads(report.read_text())["install"]]
    assert len(files) == len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))
    assert [file for file in files if not file.endswith(".whl")] == []
    assert ("numpy" in {file.partition("-")[0] for file in files}) == (codename != "trixie")


def test_a_machine_with_another_python_is_refused_in_one_line(tmp_path):
    build.recipe(tmp_path, "trixie", "arm64", "9.9", "Sun, 29 Nov 2026 00:00:00 +0000")
    script = (tmp_path / "edged.preinst").read_text()
    assert "wanted=3.13" in script
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho 3.9\n")
    python.chmod(0o755)
    path = tmp_path / "preinst"
    path.write_text(script.replace("/usr/bin/python3", str(python)))
    done = subprocess.run(["sh", path, "install"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "trixie with Python 3.13" in done.stderr
    assert "3.9" in done.stderr
    python.write_text("#!/bin/sh\necho 3.13\n")
    assert subprocess.run(["sh", path, "install"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("codename", build.RELEASES)
def test_what_the_recipe_writes_is_complete(codename, tmp_path):
    build.recipe(tmp_path, codename, "amd64", "9.9", "Sun, 29 Nov 2026 00:00:00 +0000")
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert not re.search(r"@[A-Z]+@", path.read_text()), path
    assert {"edged.service", "edged.edged-import.service", "edged.sysusers", "edged.tmpfiles"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_every_unit_is_installed(tmp_path):
    build.recipe(tmp_path, "trixie", "amd64", "9.9", "Sun, 29 Nov 2026 00:00:00 +0000")
    rules = (tmp_path / "rules").read_text()
    units = [path for path in (ROOT / "systemd").iterdir() if path.suffix in (".service", ".timer")]
    assert len(units) > 4
    for unit in units:
        laid = tmp_path / (unit.name if unit.stem == "edged" else f"edged.{unit.name}")
        assert laid.read_text() == unit.read_text()
        named = r"dh_installsystemd$" if unit.stem == "edged" else rf"dh_installsystemd --name={unit.stem}( |$)"
        assert re.search(named, rules, re.MULTILINE), f"debian/rules does not install {unit.name}"


@pytest.fixture
def site(tmp_path):
    """The libraries of PyAV and OpenCV, by name."""
    ffmpeg = (
        "avcodec-{0}.so.62.28.10{1} avformat-{0}.so.62.12.10{1} avutil-{0}.so.60.26.10{1} swresample-{0}.so.6.3.10{1} "
    )
    ffmpeg += "swscale-{0}.so.9.5.10{1} drm-cc.so.2.4.0"
    others = (
        "vpx-bb.so.11.0.1 crypto-bb.so.1.1.1k ssl-bb.so.1.1.1k aom-bb.so.3.14.1 openblasp-r0-bb.so gfortran-bb.so.5.0.0"
    )
    names = {
        slim.AV_LIBS: ffmpeg.format("aa", 2).split(),
        slim.CV_LIBS: [*ffmpeg.format("bb", 1).split(), *others.split()],
    }
    for folder, files in names.items():
        (tmp_path / folder).mkdir()
        for file in files:
            (tmp_path / folder / f"lib{file}").write_text(folder)
    return tmp_path


def test_opencv_gets_the_ffmpeg_of_pyav_and_the_lapack_of_the_system(site):
    slim.slim(site, "aarch64")
    folder = site / slim.CV_LIBS
    assert (folder / "libavcodec-bb.so.62.28.101").resolve() == site / slim.AV_LIBS / "libavcodec-aa.so.62.28.102"
    assert (folder / "libaom-bb.so.3.14.1").read_text() == slim.CV_LIBS
    assert (folder / "libdrm-cc.so.2.4.0").read_text() == slim.AV_LIBS
    assert not (folder / "libvpx-bb.so.11.0.1").exists()
    assert (folder / "libopenblasp-r0-bb.so").readlink() == Path("/usr/lib/aarch64-linux-gnu/liblapack.so.3")


def test_an_ffmpeg_that_is_older_replaces_nothing(site):
    old, new = "libavcodec-aa.so.62.28.102", "libavcodec-aa.so.62.11.100"
    (site / slim.AV_LIBS / old).rename(site / slim.AV_LIBS / new)
    slim.slim(site, "aarch64")
    assert (site / slim.CV_LIBS / "libavcodec-bb.so.62.28.101").read_text() == slim.CV_LIBS
    assert not (site / slim.CV_LIBS).is_symlink()
    assert (site / slim.CV_LIBS / "libopenblasp-r0-bb.so").is_symlink()


@pytest.mark.parametrize(("mounted", "status"), [(True, 0), (False, 1)])
def test_purging_ends_well_where_the_record_has_a_disk_of_its_own(tmp_path, mounted, status):
    """`rm` takes what is on it, and fails for the folder itself. Neither program is the real one here."""
    for name, code in (("rm", 1), ("mountpoint", int(not mounted))):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    command = ["/bin/sh", RECIPE / "edged.postrm", "purge"]
    assert subprocess.run(command, env={"PATH": str(tmp_path)}, check=False).returncode == status


def test_libraries_that_slim_does_not_know_end_the_build(site):
    (site / slim.CV_LIBS / "libvpx-bb.so.11.0.1").unlink()
    with pytest.raises(SystemExit, match="0 libraries called vpx"):
        slim.slim(site, "aarch64")


def test_units_start_modules_that_exist():
    named = {}
    for unit in (ROOT / "systemd").glob("*.service"):
        named |= dict.fromkeys(re.findall(r"^Exec\w+=.* -m (\S+)", unit.read_text(), re.MULTILINE), unit.name)
    assert named
    assert {name: unit for name, unit in named.items() if importlib.util.find_spec(name) is None} == {}


def test_a_machine_without_the_tools_of_the_other_processor_is_told_what_to_install(monkeypatch, tmp_path):
    here = platform.machine()
    arch = next(arch for arch, machine in build.MACHINES.items() if machine != here)
    package = f"binutils-{build.MACHINES[arch].replace('_', '-')}-linux-gnu"
    monkeypatch.setattr(sys, "argv", ["build.py", "trixie", arch, str(tmp_path / "out")])
    monkeypatch.setattr(shutil, "which", lambda name: None if name.endswith("-strip") else f"/usr/bin/{name}")
    with pytest.raises(SystemExit, match=f"is missing; apt install {package}$"):
        build.main()
    assert not (tmp_path / "out").exists()
