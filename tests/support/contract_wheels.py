"""Downloads what tests/test_tensorrt_contract.py looks into: `python -m tests.support.contract_wheels FOLDER`."""

import subprocess
import sys
from pathlib import Path

BINDINGS = {
    "8.6.1": "tensorrt-bindings",  # JetPack 6.0
    "10.3.0": "tensorrt-cu12-bindings",  # JetPack 6.1 and 6.2
    "10.13.3.9": "tensorrt-cu13-bindings",  # JetPack 7
    "11.4.0.106": "tensorrt-cu13-bindings",
}
PYCUDA = "2026.1"
FOLDER = Path(__file__).parents[2] / ".cache" / "contract-wheels"


def wheel_of(version: str, folder: Path = FOLDER) -> Path | None:
    """The downloaded wheel with the bindings of `version` for this Python."""
    name, python = BINDINGS[version].replace("-", "_"), f"cp{sys.version_info.major}{sys.version_info.minor}"
    return next(iter(folder.glob(f"{name}-{version}-{python}-*.whl")), None)


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
    return missing


def _pip(folder: Path, *arguments: str) -> bool:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=1", "--dest", str(folder)]
    return subprocess.run([*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    for line in download(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(line)
