"""The running daemon gives live pictures of what it analyses, makes none for nobody, and records who sees faces."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.daemon import Daemon, looped, needs_models, write_clip
from support.live_socket import look
from support.mosquitto import PATIENCE_S, until

from edged.live import live_path

pytestmark = needs_models


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


def test_pictures_of_a_running_daemon(tmp_path: Path, clip: Path) -> None:
    with Daemon(tmp_path, {"door": looped(clip)}) as daemon:
        daemon.start()
        assert daemon.serves(), daemon.log
        assert until(lambda: daemon.status()["cameras"]["door"]["frames_analysed"] > 20, PATIENCE_S)
        assert daemon.status()["live"]["encoded"] == 0
        path = live_path(daemon.database)
        faces: list[object] = []

        def sees_somebody() -> bool:
            header, data = look(path, "door", viewer="test")
            if data:
                picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                assert picture.shape[:2] == (header["height"], header["width"])
            faces.extend(face for face in header["faces"] if face["state"] == "none")
            return bool(data and faces)

        assert until(sees_somebody), daemon.log
        header, _ = look(path, "door", clear=True, who="Ada", reason="aiming")
        assert header["clear"]
        assert daemon.status()["live"]["clear"][0]["who"] == "Ada"
        shown = daemon.status()["live"]["encoded"]
        assert shown >= 2
        assert until(lambda: daemon.rows("SELECT count(*) FROM events WHERE state = 'clear_view'")[0][0] == 1)
        (details,) = daemon.rows("SELECT details FROM events WHERE state = 'clear_view' AND camera = 'door'")
        assert json.loads(details[0]) == {"who": "Ada", "reason": "aiming", "minutes": 10}
        assert until(lambda: daemon.status()["live"]["viewers"] == {})
        assert daemon.status()["live"]["encoded"] == shown, "nobody looks, and nothing is made"
        assert daemon.stop() == 0
        assert not path.exists()
