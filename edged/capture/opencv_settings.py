"""What OpenCV reads once from the environment at its first use of FFmpeg and of its picture decoders; import it first."""

import os

import cv2

MOST_PIXELS = 100_000_000
"""A header may claim any size; beyond this a picture is refused rather than allocated."""
LOG_ERRORS_ONLY = 2

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # quiet: what fails is told once, in words with a remedy
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))
# OpenCV 5 moved the function.
(getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel)(LOG_ERRORS_ONLY)
CV2_IS_SET = True
