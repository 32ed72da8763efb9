"""What an integrator sends back with a self-test: the versions of everything that models run on, and the board."""

import platform
from importlib.metadata import PackageNotFoundError, version

from edged import __version__
from edged.errors import ModelError
from edged.host.device import device_model, usable_processors
from edged.inference.tensorrt import find_toolkit, tensorrt_available

PACKAGES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "opencv": ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "numpy": ("numpy",),
}
"""What may have brought each library; none of them where a system's package did."""


def describe_machine() -> dict[str, str]:
    """In words, without the machine's name, address or identity."""
    return {
        "edged": __version__,
        "board": f"{device_model()}, {usable_processors()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(packages) for name, packages in PACKAGES.items()},
        **describe_gpu(),
    }


def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def describe_gpu() -> dict[str, str]:
    """TensorRT's version with what it runs on, or why there is none."""
    missing = tensorrt_available()
    if missing:
        return {"tensorrt": f"none ({missing.removeprefix('tensorrt: ')})"}
    try:
        toolkit = find_toolkit()
    except ModelError as error:
        return {"tensorrt": str(error)}
    gpu = toolkit.gpu
    return {
        "tensorrt": str(toolkit.trt.__version__),
        "gpu": f"{gpu.name}, compute capability {gpu.capability}",
        **({"jetson_linux": gpu.release} if gpu.release else {}),
    }
