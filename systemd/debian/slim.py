"""Takes out of the package's wheels what edged never uses, and what two of them bring alike."""

import re
import shutil
import sys
from pathlib import Path
from typing import NoReturn

INSTALLER_FILES = ("RECORD", "REQUESTED", "direct_url.json")
"""What pip writes down of the building machine; dpkg knows the files itself."""

TRIMMED = (
    "bin",  # programs of libraries, with the building machine's Python in their first line
    "numpy/**/tests",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/distutils",
    "numpy/_core/_simd.*.so",  # for numpy's own tests, as are the next
    "numpy/_core/_*_tests.*.so",
    "numpy/f2py",
    "numpy/random/lib",
    "av/include",
    "cv2/data",
    "onnxruntime/transformers",
    "onnxruntime/tools",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/capi/libonnxruntime.so.*",  # the same code once more, for programs in C
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
)
"""What of the wheels no running edged reads."""

AV_LIBS, CV_LIBS = "av.libs", "opencv_python_headless.libs"
FFMPEG = ("avcodec", "avformat", "avutil", "swresample", "swscale")
ONLY_FOR_FFMPEG = ("vpx", "crypto", "ssl", "drm")
"""What OpenCV's FFmpeg brings along. Its libaom stays: it reads AVIF pictures."""
FORTRAN = ("gfortran", "quadmath")
_VERSION = re.compile(r"\.so\.(\d+)\.(\d+)")


def stop(line: str) -> NoReturn:
    sys.exit(f"deb: {line}")


def slim(site: Path, machine: str) -> None:
    """Make the libraries in the folder `site`, for `machine` as "x86_64", smaller."""
    trim(site)
    one_ffmpeg(site)
    system_lapack(site / CV_LIBS, machine)


def trim(site: Path) -> None:
    for pattern in TRIMMED:
        for found in list(site.glob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
    for name in INSTALLER_FILES:
        for found in site.glob(f"*.dist-info/{name}"):
            found.unlink()


def library(folder: Path, name: str) -> Path:
    """The one library of that name, as libavcodec-c4204469.so.62.28.101 is avcodec."""
    found = sorted(folder.glob(f"lib{name}-*.so*"))
    if len(found) != 1:
        stop(f"{folder.name} holds {len(found)} libraries called {name}, not one; see slim.py")
    return found[0]


def one_ffmpeg(site: Path) -> bool:
    """PyAV and OpenCV bring the same FFmpeg: OpenCV gets PyAV's, which writes H.264. False where that is too old."""
    ours, theirs = site / AV_LIBS, site / CV_LIBS
    pairs = [(library(ours, name), library(theirs, name)) for name in FFMPEG]
    if any(not _replaces(kept, dropped) for kept, dropped in pairs):
        return False
    for path in (*(dropped for _, dropped in pairs), *(library(theirs, name) for name in ONLY_FOR_FFMPEG)):
        path.unlink()
    # One folder: a library looks for the next ones beside itself.
    for path in theirs.iterdir():
        path.rename(ours / path.name)
    theirs.rmdir()
    theirs.symlink_to(AV_LIBS)
    for kept, dropped in pairs:
        dropped.symlink_to(kept.name)
    return True


def _replaces(kept: Path, dropped: Path) -> bool:
    """Whether programs linked against `dropped` run with `kept`: FFmpeg promises it for later versions of the same major one."""
    mine, needed = (tuple(map(int, _VERSION.findall(path.name)[0])) for path in (kept, dropped))
    return mine[0] == needed[0] and mine >= needed


def system_lapack(folder: Path, machine: str) -> None:
    """OpenCV solves equations of a dozen unknowns: the system's LAPACK does, in place of an OpenBLAS larger than ONNX Runtime."""
    openblas = library(folder, "openblasp")
    openblas.unlink()
    for name in FORTRAN:
        for path in folder.glob(f"lib{name}-*.so*"):
            path.unlink()
    openblas.symlink_to(f"/usr/lib/{machine}-linux-gnu/liblapack.so.3")
