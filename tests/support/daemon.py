"""Runs the real daemon as a child process on a short looping clip, and reads what it keeps."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import pytest

from edged.daemon.client import ask, socket_path
from edged.demo.scene import FPS, Passage, make_scene
from edged.errors import Unavailable
from edged.inference import default_engines_dir, load_manifest
from support.mosquitto import PATIENCE_S, until

NEAR = slice(20, 38)
"""The pictures of a passage in which the face is large enough for a quick verdict."""
EMPTY_PICTURES = 8
SIZE = (480, 270)


def models_are_there() -> bool:
    manifest = load_manifest(default_engines_dir())
    names = ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet", "mask")
    return all(name in manifest.entries and (manifest.directory / manifest.entry(name).file).exists() for name in names)


needs_models = pytest.mark.skipif(not models_are_there(), reason="the models are not built; run `make setup`")


def write_clip(path: Path) -> Path:
    """A bare face comes near and goes, in less than two seconds: looped, it makes one event after the other."""
    whole = path.with_name("whole.mp4")
    try:
        make_scene(whole, (Passage(None),))
    except Unavailable as error:
        pytest.skip(str(error))
    reader = cv2.VideoCapture(str(whole))
    pictures = []
    while (read := reader.read())[0]:
        pictures.append(cv2.resize(read[1], SIZE, interpolation=cv2.INTER_AREA))
    reader.release()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    for picture in pictures[NEAR] + pictures[-EMPTY_PICTURES:]:
        writer.write(picture)
    writer.release()
    whole.unlink()
    return path


def write_pictures(folder: Path) -> Path:
    """The clip as JPEG files, for what streams a folder: 0000.jpg and so on."""
    folder.mkdir()
    reader = cv2.VideoCapture(str(write_clip(folder / "clip.mp4")))
    number = 0
    while (read := reader.read())[0]:
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), read[1])
        number += 1
    reader.release()
    return folder


def looped(clip: Path) -> str:
    return f"file://{clip}?loop=1&realtime=1"


class Daemon:
    """`edged run` with its own folder; the store there survives `kill` and `start`."""

    def __init__(
        self,
        folder: Path,
        cameras: Mapping[str, str],
        *,
        port: int | None = None,
        extra: str = "",
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        """`prefix`: a program that becomes the daemon, with its arguments. `options`: more of `edged run`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "edged.toml"
        self.database = folder / "store" / "edged.db"
        self._log = folder / "edged.log"
        self._environment = {**os.environ, **(environment or {})}
        self._command = [*prefix, sys.executable, "-m", "edged", "run", *options, "--config", str(self.config)]
        self._process: subprocess.Popen[bytes] | None = None
        self.write_config(cameras, port=port, extra=extra)

    def write_config(
        self, cameras: Mapping[str, str], *, port: int | None = None, extra: str = "", camera_extra: str = ""
    ) -> None:
        """Settings under which a verdict falls within half a second."""
        lines = [
            "[device]", 'id = "dev1"', "trust_clock = true",
            "[store]", f"path = {json.dumps(str(self.database))}",
            "[models]", "smallest_face = 30", "threads = 1",
            "[mask]", "vote_seconds = 0.4", "hold_seconds = 0.1", "least_votes = 1", "cooldown_seconds = 0",
            "most_alerts_per_minute = 600", "enter_score = 0.5", "leave_score = 0.4", "smallest_face = 20",
            "[events]", "lost_seconds = 0.2", "encounter_seconds = 0.2",
            "[defaults]", "stall_seconds = 5", "fps = 10",
        ]  # fmt: skip
        if port is not None:
            lines += ["[mqtt]", 'host = "127.0.0.1"', f"port = {port}"]
        for camera, source in cameras.items():
            lines += [f"[camera.{camera}]", f"source = {json.dumps(source)}", camera_extra]
        self.config.write_text("\n".join([*lines, extra]) + "\n")

    def __enter__(self) -> "Daemon":
        """Whatever is started within is ended at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def log(self) -> str:
        """Everything said on stderr, over all its lives."""
        return self._log.read_text() if self._log.exists() else ""

    def start(self) -> None:
        """Return at once; `serves` tells when it is up."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stderr=log, env=self._environment)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit code of a daemon that ends by itself."""
        assert self._process is not None
        code, self._process = self._process.wait(timeout_s), None
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """As a power cut would, but for what the kernel still writes."""
        self.signal(signal.SIGKILL)
        self.wait()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def status(self) -> dict[str, Any]:
        """Its own account, empty when it does not answer."""
        try:
            return ask(socket_path(self.database))
        except Unavailable:
            return {}

    def serves(self, timeout_s: float = PATIENCE_S) -> bool:
        """Wait until it watches."""
        return until(lambda: self.status().get("first_frame_s") is not None or not self.is_running, timeout_s)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database holds, read beside the daemon."""
        uri = f"{self.database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)) as connection:
            return connection.execute(sql, values).fetchall()

    def count(self, sql: str, *values: object) -> int:
        """The one number `sql` asks for, 0 as long as there is no database."""
        try:
            return int(self.rows(sql, *values)[0][0])
        except sqlite3.Error:
            return 0
