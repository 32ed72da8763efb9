"""Downloads what the contract tests look into, other people's libraries: `python -m tests.support.contract_wheels FOLDER`."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

BINDINGS = {
    "8.6.1": "tensorrt-bindings",  # JetPack 6.0
    "10.3.0": "tensorrt-cu12-bindings",  # JetPack 6.1 and 6.2
    "10.13.3.9": "tensorrt-cu13-bindings",  # JetPack 7
    "11.4.0.106": "tensorrt-cu13-bindings",
}
PYCUDA = "2026.1"
PICAMERA2 = "0.3.38"
PICAMERA2_SHA256 = "ecf34dfb6c987d2c0948debeb3762a27755d5befc674fe210c3fd2ad8e3cd6cc"
FOLDER = Path(__file__).parents[2] / ".cache" / "contract-wheels"


def wheel_of(version: str, folder: Path = FOLDER) -> Path | None:
    """The downloaded wheel with the bindings of `version` for this Python."""
    name, python = BINDINGS[version].replace("-", "_"), f"cp{sys.version_info.major}{sys.version_info.minor}"
    return next(iter(folder.glob(f"{name}-{version}-{python}-*.whl")), None)


def picamera2_wheel(folder: Path = FOLDER) -> Path | None:
    """The downloaded wheel of picamera2, to be read, not imported: libcamera is not on the package index."""
    wheel = folder / f"picamera2-{PICAMERA2}-py3-none-any.whl"
    return wheel if wheel.is_file() and sha256(wheel.read_bytes()).hexdigest() == PICAMERA2_SHA256 else None


def download(folder: Path) -> list[str]:
    """Fetch what is not there yet; give what could not be had, a line each."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for version, name in BINDINGS.items():
        if wheel_of(version, folder) is None and not _pip(folder, "--only-binary=:all:", f"{name}=={version}"):
            missing.append(
                f"{name} {version}: not for Python {sys.version_info.major}.{sys.version_info.minor}, or no network"
            )
    if not any(folder.glob("pycuda-*.tar.gz")) and not _pip(folder, "--no-binary=pycuda", f"pycuda=={PYCUDA}"):
        missing.append(f"pycuda {PYCUDA}: no network")
    if picamera2_wheel(folder) is None and not (
        _pip(folder, "--only-binary=:all:", f"picamera2=={PICAMERA2}") and picamera2_wheel(folder)
    ):
        missing.append(f"picamera2 {PICAMERA2}: not what it was, or no network")
    return missing


def _pip(folder: Path, *arguments: str) -> bool:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=1", "--dest", str(folder)]
    return subprocess.run([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    for line in download(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(line)
