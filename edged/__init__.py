"""edged: a camera appliance that sees masks, attention and drowsiness."""

import os
from importlib.metadata import version

# OpenCV reads this when it is first imported, and every module of this package is imported after this one.
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = "100000000"

__version__ = version("edged")
