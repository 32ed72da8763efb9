"""edged: a camera appliance that sees masks, attention and drowsiness."""

import os

# Whatever of ours runs imports this package before anything else, and what it starts inherits the variable. Without it
# ONNX Runtime 1.29 and later report their use to their maker every few seconds, and keep a device id below ~/.cache.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# OpenCV reads this when it is first imported, and every module of this package is imported after this one.
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = "100000000"
# Nor does it print what its decoders think of a damaged picture, without the picture's name: edged says that itself.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
# Nothing here extends pydantic; it would read the metadata of every package that is installed to find that out.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

__version__: str


def __getattr__(name: str) -> str:
    """Look up `__version__` when it is asked for: that reads metadata, which most processes can do without."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("edged")
