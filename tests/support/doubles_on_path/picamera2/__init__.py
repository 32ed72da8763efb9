"""The part of picamera2 0.3.38 that edged uses, with its names and signatures; `PICAMERA_DOUBLE` says what goes wrong."""

import os
import time

import numpy as np

FAULT = os.environ.get("PICAMERA_DOUBLE", "")
PADDING = 64 if FAULT == "padded" else 0


class Picamera2:
    @staticmethod
    def global_camera_info():
        return [] if FAULT == "none" else [{"Model": "imx708", "Location": 2, "Rotation": 0, "Id": "/base/x", "Num": 0}]

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if FAULT == "busy":
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        assert camera_num == 0
        self.started = False

    def create_video_configuration(
        self, main={}, lores=None, raw={}, transform=None, colour_space=None, buffer_count=6, controls={},  # noqa: B006
        display="main", encode="main", queue=True, sensor={}, use_case="video",  # noqa: B006
    ):  # fmt: skip
        assert main["format"] == "YUV420"
        assert set(controls) <= {"FrameDurationLimits", "AeEnable", "ExposureTime"}
        return {"main": dict(main), "buffer_count": buffer_count, "controls": controls}

    def configure(self, camera_config=None):
        main = camera_config["main"]
        self.camera_config = {**camera_config, "main": {**main, "stride": main["size"][0] + PADDING}}

    def camera_configuration(self):
        return self.camera_config

    def start(self, config=None, show_preview=False):
        self.started = True
        self.count = 0

    def capture_request(self, wait=None, signal_function=None, flush=None):
        self.count += 1
        if FAULT == "hangs" and self.count > 10:
            time.sleep(3600)
        time.sleep(self.camera_config["controls"]["FrameDurationLimits"][0] / 1e6)
        return CompletedRequest(self)

    def stop(self):
        if FAULT == "stop hangs":
            time.sleep(3600)

    def close(self):
        print("closed in order", flush=True)


class CompletedRequest:
    alive = 0

    def __init__(self, picam2):
        self.picam2, self.stamp = picam2, time.monotonic_ns()
        CompletedRequest.alive += 1
        assert CompletedRequest.alive <= picam2.camera_config["buffer_count"], "a request was not released"

    def get_metadata(self):
        return {"SensorTimestamp": self.stamp - 20_000_000, "ExposureTime": 9999}

    def release(self):
        CompletedRequest.alive -= 1


class MappedArray:
    """Y, U and V of a blue picture whose left upper corner is white."""

    def __init__(self, request, stream, reshape=True, write=True):
        main = request.picam2.camera_config[stream]
        (width, height), stride = main["size"], main["stride"]
        self.array = np.full((height * 3 // 2, stride), 255, np.uint8)
        self.array[:height, :width] = 41
        self.array[: height // 4, : width // 4] = 235
        u = self.array[height : height * 5 // 4].reshape(height // 2, stride // 2)
        v = self.array[height * 5 // 4 :].reshape(height // 2, stride // 2)
        u[:, : width // 2], v[:, : width // 2] = 240, 110
        u[: height // 8, : width // 8] = v[: height // 8, : width // 8] = 128
        self.array[-1, -1] ^= request.picam2.count % 2  # noise

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        self.array = None
