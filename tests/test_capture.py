"""Pictures from files, folders and cameras that come and go, into the inbox where the newest wins."""

import itertools
import struct
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.mosquitto import PATIENCE_S, until
from support.recordings import QuickCamera, camera, number_of, shaded, take_all, write_folder, write_video

from edged.capture import CameraState, CameraWorker, FrameInbox, open_source
from edged.capture.recordings import picture_files, read_picture
from edged.config import CameraConfig
from edged.errors import SourceLost
from edged.types import Frame


def frame(name: str, index: int = 0) -> Frame:
    return Frame(name, index, float(index), shaded(0, 2, 2))


def numbers(uri: str, most: int = 1000) -> list[int]:
    """The pictures a source shows, told by their brightness."""
    source, seen = open_source(uri), []
    while len(seen) < most and source.skip() is not None:
        seen.append(number_of(source.picture()))
    source.close()
    return seen


def eventually(worker: CameraWorker, status: str) -> CameraState:
    assert until(lambda: worker.state().status == status)
    return worker.state()


# --- the inbox


def test_the_newest_frame_wins_and_the_dropped_are_counted_once():
    inbox = FrameInbox(["a"])
    for index in range(5):
        inbox.offer(frame("a", index))
    assert inbox.take(0).index == 4
    assert inbox.take(0) is None
    assert [inbox.take_dropped("a"), inbox.take_dropped("a")] == [4, 0]


def test_cameras_take_turns_however_fast_one_of_them_is():
    inbox, taken = FrameInbox(["a", "b", "c"], clock_s=itertools.count().__next__), []
    for index in range(9):
        for name in "abc" if index % 3 == 0 else "a":
            inbox.offer(frame(name, index))
        taken.append(inbox.take(0).camera)
    assert taken == ["a", "b", "c"] * 3


class Analysis:
    """Takes frames from cameras that send so many a second, and needs so long for each; time passes by that only."""

    def __init__(self, cameras: dict[str, tuple[float, float]]) -> None:
        self.cameras, self.now_s = cameras, 0.0
        self.inbox = FrameInbox(list(cameras), clock_s=lambda: self.now_s)
        self._due_s = dict.fromkeys(cameras, 0.0)

    def run(self, seconds: float) -> dict[str, float]:
        """Frames a second that each camera was granted."""
        taken, end_s = dict.fromkeys(self.cameras, 0), self.now_s + seconds
        while self.now_s < end_s:
            for name, (fps, _) in self.cameras.items():
                while self._due_s[name] <= self.now_s:
                    self._due_s[name] += 1 / fps
                    self.inbox.offer(frame(name))
            got = self.inbox.take(0)
            self.now_s += self.cameras[got.camera][1] if got else 0.001
            if got:
                taken[got.camera] += 1
        return {name: count / seconds for name, count in taken.items()}


@pytest.mark.parametrize("floods", [1, 2, 3])
def test_a_camera_that_wants_little_gets_it_all_whatever_the_others_send(floods):
    cameras = {f"flood{n}": (60.0, 0.1) for n in range(floods)} | {"quiet": (5.0, 0.01)}
    granted = Analysis(cameras).run(60)
    assert granted["quiet"] == pytest.approx(5.0, rel=0.05)
    assert sum(granted.values()) > 9.5 * 0.95, "nobody waits without need"


def test_cameras_that_want_all_get_the_same_time_and_not_the_same_frames():
    granted = Analysis({"crowd": (60.0, 0.2), "lane": (60.0, 0.05), "yard": (60.0, 0.1)}).run(120)
    for name, cost_s in (("crowd", 0.2), ("lane", 0.05), ("yard", 0.1)):
        assert granted[name] * cost_s == pytest.approx(1 / 3, rel=0.05)


def test_a_camera_that_was_away_has_no_claim_to_what_it_missed():
    analysis = Analysis({"a": (60.0, 0.1), "b": (60.0, 0.1)})
    analysis.cameras = {"a": (60.0, 0.1)}
    analysis.run(600)
    analysis.cameras = {"a": (60.0, 0.1), "b": (60.0, 0.1)}
    assert analysis.run(10)["a"] == pytest.approx(5.0, abs=0.2)


def test_a_patient_frame_waits_for_its_place_and_is_never_dropped():
    inbox = FrameInbox(["a"])
    assert inbox.offer_patiently(frame("a", 0), 0)
    assert not inbox.offer_patiently(frame("a", 1), 0.01)
    assert inbox.take(0).index == 0
    assert inbox.offer_patiently(frame("a", 1), 0)
    assert inbox.take_dropped("a") == 0


def test_a_patient_frame_goes_in_as_soon_as_the_last_one_is_taken():
    inbox, done = FrameInbox(["a"]), []
    inbox.offer(frame("a", 0))
    waiter = threading.Thread(target=lambda: done.append(inbox.offer_patiently(frame("a", 1), PATIENCE_S)))
    waiter.start()
    assert [inbox.take(PATIENCE_S).index, inbox.take(PATIENCE_S).index] == [0, 1]
    waiter.join(PATIENCE_S)
    assert done == [True]


def test_closing_wakes_everybody_who_waits():
    inbox, results = FrameInbox(["a", "b"]), []
    inbox.offer(frame("b"))
    inbox.take(0)
    taker = threading.Thread(target=lambda: results.append(inbox.take(2 * PATIENCE_S)))
    taker.start()
    inbox.close()
    taker.join(PATIENCE_S)
    assert results == [None]
    inbox.offer(frame("a"))
    assert inbox.take(0) is None
    assert not inbox.offer_patiently(frame("b"), 10)


# --- recordings


def test_a_recording_shows_its_pictures_in_order_and_on_its_own_time_line(tmp_path):
    source = open_source(write_video(tmp_path / "a.avi", 10, fps=20).as_uri())
    times = [source.skip() for _ in range(10)]
    assert times == pytest.approx([k / 20 for k in range(10)])
    assert source.skip() is None
    assert (source.fps, source.frame_count, source.live) == (20, 10, False)


def test_a_picture_is_the_one_last_moved_to(tmp_path):
    assert numbers(write_video(tmp_path / "a.avi", 6).as_uri()) == list(range(6))


def test_a_looping_recording_begins_again_while_time_goes_on(tmp_path):
    source = open_source(write_video(tmp_path / "a.avi", 3).as_uri() + "?loop=1")
    seen = [(source.skip(), number_of(source.picture())) for _ in range(8)]
    assert [number for _, number in seen] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [time_s for time_s, _ in seen] == pytest.approx([k / 25 for k in range(8)])


@pytest.mark.parametrize("loop", ["", "?loop=1"])
def test_a_truncated_recording_shows_what_is_left_of_it(tmp_path, loop):
    path = write_video(tmp_path / "a.avi", 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    seen = numbers(path.as_uri() + loop, most=30)
    assert seen[:5] == list(range(5))
    assert len(seen) == 30 if loop else 5 <= len(seen) < 15


@pytest.mark.parametrize("loop", ["", "?loop=1"])
@pytest.mark.parametrize("content", [b"", b"this is a letter\n" * 50, b"\0" * 4096])
def test_what_is_no_recording_is_lost_with_a_reason(tmp_path, content, loop):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceLost, match=r"a\.mp4: (is empty; record|not a video that can be decoded)"):
        numbers(path.as_uri() + loop)


@pytest.mark.parametrize("loop", ["", "?loop=1"])
def test_a_recording_without_pictures_is_lost_with_a_reason(tmp_path, loop):
    path = write_video(tmp_path / "a.avi", 0)
    with pytest.raises(SourceLost, match="holds no picture"):
        numbers(path.as_uri() + loop)


def test_a_missing_recording_is_lost_with_a_reason(tmp_path):
    with pytest.raises(SourceLost, match="no such file"):
        open_source((tmp_path / "a.mp4").as_uri())
    with pytest.raises(SourceLost, match="not a regular file"):
        open_source(tmp_path.as_uri())


@pytest.mark.parametrize("name", ["a b.avi", "100%.avi", "a%20b.avi", "a#b?.avi", "Tür 人.avi"])
def test_odd_file_names_are_opened(tmp_path, name):
    assert numbers(write_video(tmp_path / name, 3).as_uri()) == [0, 1, 2]


def test_a_name_that_is_not_utf8_is_opened(tmp_path):
    write_video(tmp_path / "a.avi", 4).rename(tmp_path / "\udcff.avi")
    assert numbers(f"{tmp_path.as_uri()}/%ff.avi") == list(range(4))


# --- pictures


def test_a_folders_pictures_come_by_name_and_nothing_else_of_it(tmp_path):
    folder = write_folder(tmp_path / "in here", 3)
    (folder / "notes.txt").write_text("no picture")
    (folder / "deeper.png").mkdir()
    assert [path.name for path in picture_files(folder)] == ["00.png", "01.png", "02.png"]
    assert numbers(folder.as_uri().replace("file:", "images:")) == [0, 1, 2]


def test_a_looping_folder_begins_again_at_its_own_pace(tmp_path):
    source = open_source(f"images://{write_folder(tmp_path / 'in', 2)}?loop=1&fps=2")
    assert [source.skip() for _ in range(5)] == [0, 0.5, 1.0, 1.5, 2.0]
    assert number_of(source.picture()) == 0


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder.mkdir()], ids=["missing", "empty"])
def test_a_folder_without_pictures_is_lost_with_a_reason(tmp_path, make):
    make(tmp_path / "in")
    with pytest.raises(SourceLost, match=r"no such folder|holds no pictures"):
        open_source(f"images://{tmp_path}/in")


@pytest.mark.parametrize(
    ("pixels", "bgr"),
    [
        (np.full((5, 7), 120, np.uint8), (120, 120, 120)),
        (np.full((5, 7, 4), (10, 20, 30, 0), np.uint8), (10, 20, 30)),
        (np.full((5, 7, 3), (256 * 10, 256 * 20, 256 * 30), np.uint16), (10, 20, 30)),
        (np.full((5, 7), 256 * 99, np.uint16), (99, 99, 99)),
        (np.full((1, 1, 3), (1, 2, 3), np.uint8), (1, 2, 3)),
    ],
    ids=["grey", "transparent", "16 bits", "16 bits grey", "1x1"],
)
def test_every_kind_of_picture_is_read_as_bgr(tmp_path, pixels, bgr):
    cv2.imwrite(str(tmp_path / "ü %20?.png"), pixels)
    picture = read_picture(tmp_path / "ü %20?.png")
    assert (picture.dtype, picture.shape) == (np.uint8, (*pixels.shape[:2], 3))
    assert tuple(picture[0, 0]) == bgr


def claims_to_be_huge() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", claims_to_be_huge()]
)
def test_a_broken_picture_is_lost_with_a_reason(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SourceLost, match=r"a\.png: (is empty; copy|cut off|not a picture)"):
        read_picture(tmp_path / "a.png")


def test_a_picture_that_cannot_be_opened_is_lost_with_a_reason(tmp_path):
    with pytest.raises(SourceLost, match="cannot be read"):
        read_picture(tmp_path)


# --- a camera from end to end


def test_a_recording_is_played_whole_and_then_the_camera_says_so(tmp_path):
    with camera(write_video(tmp_path / "a b.avi", 10).as_uri(), fps=120) as (worker, inbox):
        frames = take_all(worker, inbox)
    assert [number_of(f.image) for f in frames] == [f.index for f in frames] == list(range(10))
    assert np.diff([f.time_s for f in frames]) == pytest.approx(np.full(9, 1 / 25))
    assert (worker.state().status, worker.state().reason, worker.state().frames) == (
        "offline",
        "the recording has ended",
        10,
    )


@pytest.mark.parametrize(("fps", "expected"), [(25, 20), (12.5, 10), (10, 8), (5, 4), (0.5, 1)])
def test_the_frame_rate_is_kept_on_the_recordings_own_time_line(tmp_path, fps, expected):
    with camera(write_video(tmp_path / "a.avi", 20).as_uri(), fps=fps) as (worker, inbox):
        assert len(take_all(worker, inbox)) == expected
    assert worker.state().frames == 20


def test_in_real_time_a_recording_takes_its_time_and_waits_for_nobody(tmp_path):
    uri = write_video(tmp_path / "a.avi", 10, fps=100).as_uri() + "?realtime=1"
    with camera(uri, fps=120) as (worker, inbox):
        assert until(lambda: worker.ended)
        last = inbox.take(0)
    assert inbox.take_dropped("door") == 9
    assert (last.index, number_of(last.image)) == (9, 9)
    assert worker.state().since_s >= last.time_s


def test_a_recording_that_is_slower_analysed_than_played_loses_nothing(tmp_path):
    with camera(write_video(tmp_path / "a.avi", 4).as_uri(), fps=120) as (worker, inbox):
        assert until(lambda: not inbox.is_empty())
        frames = take_all(worker, inbox)
    assert len(frames) == 4
    assert inbox.take_dropped("door") == 0


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_pictures_are_turned_clockwise(tmp_path, rotation, corner):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:10, :10] = 255
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), picture)
    with camera(f"images://{tmp_path}/in", rotation=rotation) as (worker, inbox):
        (got,) = take_all(worker, inbox)
    assert got.image.shape == ((40, 60, 3) if rotation in (0, 180) else (60, 40, 3))
    assert got.image[corner].min() == 255
    assert got.image.mean() == pytest.approx(255 * 100 / 2400)


def test_the_region_is_a_part_of_the_turned_picture_and_no_copy(tmp_path):
    with camera(f"images://{write_folder(tmp_path / 'in', 1)}", rotation=90, region=(0.5, 0, 1, 0.25)) as (
        worker,
        inbox,
    ):
        (got,) = take_all(worker, inbox)
    assert got.image.shape == (16, 24, 3)
    assert got.image.base is not None


def test_of_a_picture_of_one_pixel_the_region_is_that_pixel(tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.full((1, 1, 3), 90, np.uint8))
    for region in ((0, 0, 0.4, 0.4), (0.6, 0.6, 1, 1)):
        with camera(f"images://{tmp_path}/in", region=region) as (worker, inbox):
            (got,) = take_all(worker, inbox)
        assert got.image.shape == (1, 1, 3)


def test_a_broken_picture_is_passed_over_and_told(tmp_path):
    folder = write_folder(tmp_path / "in", 5)
    (folder / "02.png").write_bytes(b"broken")
    with camera(f"images://{folder}") as (worker, inbox):
        assert [number_of(f.image) for f in take_all(worker, inbox)] == [0, 1, 3, 4]
        reason = eventually(worker, "offline").reason
    assert "1 of 5 pictures cannot be decoded, the first is 02.png; copy them again" in reason


def test_a_folder_that_may_not_be_read_is_lost_and_no_end_of_the_daemon(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    folder = write_folder(tmp_path / "in", 1)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceLost, match=r"cannot be read \(Permission denied\); see that edged's user"):
        open_source(f"images://{folder}")


def test_a_source_of_nothing_but_broken_pictures_is_opened_anew_with_a_reason(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"broken")
    with camera(f"images://{tmp_path}/in?loop=1") as (worker, _):
        assert "not a picture" in eventually(worker, "reconnecting").reason
        assert until(lambda: worker.state().reconnects >= 2)


def test_a_missing_file_is_tried_again_until_it_is_there(tmp_path):
    with camera(f"file://{tmp_path}/a.avi?loop=1", fps=120) as (worker, inbox):
        assert until(lambda: "no such file" in worker.state().reason)
        assert (worker.state().status, worker.state().frames) == ("offline", 0)
        write_video(tmp_path / "a.avi", 3)
        assert inbox.take(PATIENCE_S) is not None
        assert eventually(worker, "online").reason is None


def test_a_file_that_opens_but_shows_nothing_is_never_online(tmp_path):
    write_video(tmp_path / "a.avi", 0)
    with camera(f"file://{tmp_path}/a.avi") as (worker, _):
        assert "holds no picture" in eventually(worker, "reconnecting").reason
        assert (worker.state().reconnects, worker.ended) == (0, False)


def test_time_never_goes_back_when_a_recording_is_opened_again(tmp_path):
    folder = write_folder(tmp_path / "in", 1)
    for number in range(1, 30):
        (folder / f"{number:02}.png").write_bytes(b"broken")
    with camera(f"images://{folder}?fps=1") as (_, inbox):
        times = [inbox.take(PATIENCE_S).time_s for _ in range(4)]
    assert np.diff(times).min() > 20


def test_a_camera_that_waits_for_its_turn_stops_at_once(tmp_path):
    with camera(write_video(tmp_path / "a.avi", 20).as_uri()) as (worker, inbox):
        assert until(lambda: not inbox.is_empty())
        assert worker.stop(60)
    assert not worker.ended


def test_a_camera_between_two_tries_stops_at_once(tmp_path):
    worker = CameraWorker("door", CameraConfig(source=f"file://{tmp_path}/a.avi"), FrameInbox(["door"]))
    worker.start()
    assert until(lambda: "no such file" in worker.state().reason)
    assert worker.stop(60)


def test_a_camera_that_was_never_started_can_be_stopped():
    assert QuickCamera("door", CameraConfig(source="file:///a.avi"), FrameInbox(["door"])).stop(0)


@pytest.mark.parametrize("path", ["/dev/none-such", "/dev/video979"])
def test_a_lost_camera_is_logged_once_and_without_its_password(path, caplog):
    with camera(f"v4l2://{path}") as (worker, _):
        assert until(lambda: "no such camera" in worker.state().reason)
        threading.Event().wait(0.1)
    assert len(caplog.records) == 1
