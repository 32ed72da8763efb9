"""What OpenCV reads once from the environment at its first use of FFmpeg; import it first."""

import os

import cv2

MOST_PIXELS = int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"])
"""A header may claim any size; beyond this a picture is refused rather than allocated. Set in `edged/__init__.py`."""
LOG_ERRORS_ONLY = 2

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what fails is told once, in words with a remedy
# OpenCV 5 moved the function.
(getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(LOG_ERRORS_ONLY)
CV2_IS_SET = True
