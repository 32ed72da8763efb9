"""Recordings as they come: their own time stamps, cut off, on their side, endless; and H.264 out with the same times."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.doubles import BARE, ConstantJudge, ScriptedDetector
from support.peak import ANONYMOUS_MB, PEAK_MB
from support.recordings import camera, shaded, take_all, write_coded

from edged.assembly import Models
from edged.capture.video import MOST_BYTES_A_PICTURE, Timeline, VideoFile
from edged.capture.video_writer import VideoWriter, is_our_video
from edged.config import Config
from edged.config.source import parse_source
from edged.errors import SourceLost
from edged.offline import Recording
from edged.types import Image

UNEVEN = [0.0, 1.0, 2.0, 3.0, 3.04, 3.08, 3.12]
"""A second apart, and then as usual."""
EVEN = [number / 25 for number in range(48)]
READ = ["mp4", "mov", "3gp", "mkv", "webm", "avi", "mpg", "ts", "mts", "flv", "wmv", "gif", "mjpeg", "h264", "h265"]


@pytest.fixture
def case(shared: Path) -> Path:
    """The folder of inputs that once went wrong."""
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: it is not part of this repository")
    return folder


def opened(path: Path, query: str = "") -> VideoFile:
    return VideoFile(parse_source(path.absolute().as_uri() + query))


def times_of(video: VideoFile, most: int = 10_000) -> list[float]:
    times: list[float] = []
    while len(times) < most and (time_s := video.skip()) is not None:
        times.append(time_s)
    return times


def corners(image: Image) -> list[bool]:
    """Which are white: upper left and right, lower left and right."""
    height, width = image.shape[:2]
    return [
        bool(image[y, x].mean() > 200) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)
    ]


# --- time


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm", "ts", "flv"])
def test_pictures_have_the_times_that_the_container_gives_them(tmp_path: Path, kind: str) -> None:
    video = opened(write_coded(tmp_path / f"a.{kind}", UNEVEN))
    assert times_of(video) == pytest.approx(UNEVEN, abs=0.002)
    assert video.flaw is video.assumption is None


def test_a_slow_time_lapse_lasts_as_long_as_it_does(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mp4", [number * 2.0 for number in range(48)])
    assert times_of(opened(path))[-1] == pytest.approx(94.0)


def test_offline_records_have_the_containers_times(tmp_path: Path) -> None:
    models = Models(ScriptedDetector([]), ConstantJudge(BARE), {}, {})
    records = [a.record() for a in Recording(write_coded(tmp_path / "a.mkv", UNEVEN), Config(), models).frames()]
    assert [record["time_s"] for record in records] == pytest.approx(UNEVEN, abs=0.002)
    assert [record["frame"] for record in records] == list(range(len(UNEVEN)))


def test_a_camera_that_plays_a_recording_has_its_times(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mp4", UNEVEN)
    with camera(path.as_uri(), fps=60) as (worker, inbox):
        frames = take_all(worker, inbox)
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(np.diff(UNEVEN), abs=0.002)


def test_times_go_on_when_a_recording_begins_anew(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mp4", UNEVEN)
    times = times_of(opened(path, "?loop=1"), 14)
    assert times[:7] == pytest.approx(UNEVEN, abs=0.002)
    assert np.diff(times[7:]) == pytest.approx(np.diff(UNEVEN), abs=0.002)
    assert 0 < times[7] - times[6] < 1


@pytest.mark.parametrize("kind", ["h264", "h265", "mjpeg"])
def test_a_recording_without_time_stamps_says_what_it_assumes(tmp_path: Path, kind: str) -> None:
    video = opened(write_coded(tmp_path / f"a.{kind}", EVEN))
    assert "holds no time stamps; 25 pictures a second are assumed" in str(video.assumption)
    assert times_of(video) == pytest.approx(EVEN)


def test_the_jpegs_of_a_pi_camera_are_a_recording(tmp_path: Path) -> None:
    """`rpicam-vid --codec mjpeg` writes whole JFIF files, one after the other; FFmpeg's own have no JFIF header."""
    path = tmp_path / "a.mjpeg"
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    path.write_bytes(cv2.imencode(".jpg", noise)[1].tobytes() * 48)
    video = opened(path)
    assert "holds no time stamps; 25 pictures a second are assumed" in str(video.assumption)
    assert times_of(video) == pytest.approx(EVEN)
    assert video.flaw is None


def test_who_knows_the_rate_better_may_say_so(tmp_path: Path) -> None:
    video = opened(write_coded(tmp_path / "a.h264", EVEN), "?fps=5")
    assert video.assumption is None
    assert times_of(video)[:3] == pytest.approx([0, 0.2, 0.4])
    slow = VideoFile(parse_source((tmp_path / "a.h264").as_uri()), fps=0.5)
    assert times_of(slow)[-1] == pytest.approx(94.0)


def test_a_camera_tells_what_it_assumes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with camera(write_coded(tmp_path / "a.h264", EVEN).as_uri(), fps=60) as (worker, inbox):
        take_all(worker, inbox)
    assert "holds no time stamps; 25 pictures a second" in caplog.text


def test_broken_time_stamps_never_go_back_nor_far_ahead() -> None:
    line = Timeline(10)
    stamps = [7.0, 7.1, None, 7.3, 2.0, 2.5, 1e12, None, -5.0]
    assert [line.place(stamp) for stamp in stamps] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0, 1.1, 1.2])


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([7.0] * 5, [0, 0.1, 0.2, 0.3, 0.4]),
        ([0.0, 0.0, 0.2, 0.2, 0.4, 0.4], [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ([0.0, 0.0, 0.1, 0.1, 0.2, 0.3, 0.6], [0, 0.1, 0.101, 0.201, 0.202, 0.3, 0.6]),
        ([0.0] * 31 + [0.1, 0.2], [*(number / 10 for number in range(31)), 3.1, 3.2]),
    ],
    ids=["all the same", "in pairs", "in pairs at the usual rate", "stuck for long"],
)
def test_a_time_stamp_that_repeats_makes_two_pictures_and_never_one(stamps: list[float], times: list[float]) -> None:
    line = Timeline(10)
    assert [line.place(stamp) for stamp in stamps] == pytest.approx(times)


def test_a_recording_whose_time_stamps_are_all_the_same_is_played_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 20, np.uint8), format="bgr24")
            for packet in stream.encode(picture):
                packet.pts = packet.dts = 0
                container.mux(packet)
    assert times_of(opened(path)) == pytest.approx([number / 25 for number in range(10)])
    models = Models(ScriptedDetector([]), ConstantJudge(BARE), {}, {})
    assert len(list(Recording(path, Config(), models).frames())) == 10
    assert len(models.detector.pictures) == 10  # type: ignore[attr-defined]


def test_a_disk_that_fails_is_a_lost_source() -> None:
    """Of this file the kernel lets nobody read the beginning: there is nothing in that part of the memory."""
    with pytest.raises(SourceLost, match="cannot be read"):
        VideoFile(parse_source("file:///proc/self/mem"))


def test_the_recording_whose_beginning_is_slow(case: Path) -> None:
    times = times_of(opened(case / "vfr.mp4"))
    assert (times[138], times[194]) == pytest.approx((63.26, 65.61), abs=0.01)


def test_the_raw_stream_of_a_pi_camera(case: Path) -> None:
    video = opened(case / "raw15.h264")
    assert "15 pictures a second are assumed" in str(video.assumption)
    assert np.diff(times_of(video)) == pytest.approx(1 / 15)


# --- what is there of it


@pytest.mark.parametrize("kind", READ)
def test_every_kind_of_recording_is_read_whole(tmp_path: Path, kind: str) -> None:
    video = opened(write_coded(tmp_path / f"a.{kind}", EVEN))
    shown = []
    while video.skip() is not None:
        shown.append(video.picture())
    assert len(shown) == 48
    assert video.flaw is None
    assert np.abs(shown[5][40:, 40:].astype(int) - shaded(5)[0, 0, 0]).mean() < (40 if kind == "gif" else 14)


def cut(path: Path, part: float) -> Path:
    os.truncate(path, int(path.stat().st_size * part))
    return path


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "flv"])
@pytest.mark.parametrize("part", [0.3, 0.6])
def test_a_recording_that_was_cut_off_shows_what_is_left_and_says_so(tmp_path: Path, kind: str, part: float) -> None:
    times = [number / 25 for number in range(100)]
    video = opened(cut(write_coded(tmp_path / f"a.{kind}", times, size=160), part))
    shown = len(times_of(video))
    assert 5 < shown < 90
    assert f"cut off: {shown} " in str(video.flaw)
    assert "copy or record it again" in str(video.flaw)


def test_a_recording_that_begins_anew_says_so_too(tmp_path: Path) -> None:
    video = opened(cut(write_coded(tmp_path / "a.mp4", EVEN, size=160), 0.6), "?loop=1")
    assert len(times_of(video, 100)) == 100
    assert "cut off" in str(video.flaw)


def test_a_camera_tells_that_its_recording_was_cut_off(tmp_path: Path) -> None:
    with camera(cut(write_coded(tmp_path / "a.mp4", EVEN, size=160), 0.6).as_uri(), fps=60) as (worker, inbox):
        assert len(take_all(worker, inbox)) > 5
        assert "cut off" in str(worker.state().reason)


def test_a_damage_in_the_middle_is_told_and_costs_only_itself(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.avi", EVEN, size=160)
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"00dc"]
    data[starts[20] + 8 : starts[20] + 12] = b"\0\0\0\0"
    path.write_bytes(data)
    video = opened(path)
    assert len(times_of(video)) >= 46
    assert video.flaw is None or "damaged" in video.flaw


def test_an_mp4_without_its_index_was_never_finished(tmp_path: Path) -> None:
    path = write_coded(tmp_path / "a.mp4", EVEN)
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    path.write_bytes(data[:at] + data[at + int.from_bytes(data[at : at + 4], "big") :])
    with pytest.raises(SourceLost, match="its index is missing: it was cut off, or never finished"):
        opened(path)


def test_the_recording_that_was_cut_off(case: Path) -> None:
    video = opened(case / "trunc50.mp4")
    read = len(times_of(video))
    assert read in (18, 19)  # PyAV 17, the last for Python 3.10, reads one fewer
    assert f"cut off: {read} of 48 pictures can be read" in str(video.flaw)


@pytest.mark.parametrize("name", ["playlist.mp4", "playlist.m3u8"])
def test_a_list_of_other_files_and_addresses_is_not_followed(tmp_path: Path, name: str) -> None:
    write_coded(tmp_path / "a.ts", EVEN)
    (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.92,\n{tmp_path}/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SourceLost, match="not a video that can be decoded"):
        opened(tmp_path / name)


@pytest.mark.parametrize("where", ["/dev/zero", "fifo"])
def test_what_has_no_end_or_nothing_is_not_waited_for(tmp_path: Path, where: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SourceLost, match="not a regular file"):
        opened(tmp_path / where)


@pytest.mark.parametrize("kind", ["h264", "mjpeg", "ts", "avi", "mkv"])
def test_a_recording_without_end_takes_a_bounded_memory(tmp_path: Path, kind: str) -> None:
    """Twenty gigabytes of nothing after the pictures; all that may be read of it is what one picture may have."""
    path = write_coded(tmp_path / f"a.{kind}", EVEN)
    os.truncate(path, 20 * 1024**3)
    code = (
        "import sys; from edged.capture.video import VideoFile; from edged.config.source import parse_source; "
        "video = VideoFile(parse_source(sys.argv[1])); count = 0\n"
        "while video.skip() is not None: count += 1\n"
        f"print(count, {PEAK_MB}, video.flaw)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path.as_uri()], capture_output=True, text=True, timeout=300, check=False
    )
    count, megabytes, flaw = done.stdout.split(maxsplit=2)
    assert int(count) >= 40
    assert int(megabytes) < 150 + 8 * MOST_BYTES_A_PICTURE // 2**20
    assert kind in ("avi", "mkv") or "cut off" in flaw, "those two say where they end"
    assert done.stderr == ""


OPENED_ANEW = """
import gc, sys
from edged.capture.video import VideoFile
from edged.config.source import parse_source
gc.disable()  # it counts objects of Python, and may not run for hours while pictures and decoders fill the memory
uri, ways = sys.argv[1], sys.argv[2]
def play(video):
    for _ in range(PICTURES):
        video.skip()
        video.picture()
looped = VideoFile(parse_source(uri + "?loop=1"))
for number in range(120):
    if number == 20:
        before = MEGABYTES
    if ways == "looped":
        play(looped)
        continue
    video = VideoFile(parse_source(uri))
    play(video)
    video.close()
print(MEGABYTES - before)
"""


@pytest.mark.parametrize(("ways", "pictures"), [("looped", 12), ("closed at its end", 12), ("closed midway", 5)])
def test_a_recording_that_is_opened_again_and_again_takes_no_more_memory(
    tmp_path: Path, ways: str, pictures: int
) -> None:
    """A loop that plays for weeks; a folder of thousands of clips. A hundred decoders, or their pictures, would show."""
    path = write_coded(tmp_path / "a.mp4", EVEN[:12], size=320)
    code = OPENED_ANEW.replace("MEGABYTES", ANONYMOUS_MB).replace("PICTURES", str(pictures))
    done = subprocess.run(
        [sys.executable, "-c", code, path.as_uri(), ways], capture_output=True, text=True, timeout=300, check=False
    )
    assert int(done.stdout) < 20, "megabytes"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_phones_recording_is_seen_upright(tmp_path: Path, turned: int, mirrored: bool) -> None:
    video = opened(write_coded(tmp_path / "a.mov", EVEN[:3], turned=turned, mirrored=mirrored))
    video.skip()
    turns = np.rot90(np.array([[True, False], [False, False]]), turned // 90)
    expected = turns[:, ::-1] if mirrored else turns
    assert corners(video.picture()) == expected.ravel().tolist()
    assert video.picture().shape == ((64, 48, 3) if turned % 180 else (48, 64, 3))


# --- written


@pytest.mark.parametrize("shape", [(48, 64), (1, 1), (47, 65)])
def test_annotated_videos_are_h264_with_the_times_of_their_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "a.mp4"
    with path.open("w+b") as file, VideoWriter(file, 25) as writer:
        for number, time_s in enumerate(UNEVEN):
            writer.write(shaded(number, *shape), time_s)
    read = cv2.VideoCapture(str(path))
    code = int(read.get(cv2.CAP_PROP_FOURCC))
    assert code.to_bytes(4, "little") in (b"h264", b"avc1")
    assert b"moov" in path.read_bytes()[:200], "a browser plays it while it loads"
    assert times_of(opened(path)) == pytest.approx(UNEVEN, abs=0.002)
    with path.open("rb") as file:
        assert is_our_video(file)


@pytest.mark.parametrize("step_s", [60.0, 3000.0, 3600.0])
def test_a_time_lapse_is_annotated_whole(tmp_path: Path, step_s: float) -> None:
    """A picture an hour: the rate that the file states is no multiple of any that players know."""
    lapse = write_coded(tmp_path / "lapse.mp4", [number * step_s for number in range(4)])
    path = tmp_path / "a.mp4"
    with path.open("w+b") as file, VideoWriter(file, min(opened(lapse).fps, 1 / step_s)) as writer:
        for number in range(4):
            writer.write(shaded(number), number * step_s)
    assert times_of(opened(path)) == pytest.approx([number * step_s for number in range(4)])


@pytest.mark.parametrize("room", [10, 500, 4000])
def test_a_disk_that_fills_while_a_video_is_written_is_one_error(
    tmp_path: Path, room: int, capfd: pytest.CaptureFixture[str]
) -> None:
    class Disk(io.FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            if self.tell() + len(bytes(data)) > room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

        def seek(self, offset: int, whence: int = 0) -> int:
            if os.fstat(self.fileno()).st_size > room // 2:  # as buffers do, which write what they hold first
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().seek(offset, whence)

    def write(disk: Disk) -> None:
        with disk, VideoWriter(disk, 25) as writer:  # type: ignore[arg-type]
            for number in range(48):
                writer.write(shaded(number % 20), number / 25)

    with pytest.raises(OSError, match="No space left"):
        write(Disk(tmp_path / "a.mp4", "w+"))
    assert capfd.readouterr() == ("", "")


def test_other_videos_are_not_taken_for_ours(tmp_path: Path) -> None:
    for path in (write_coded(tmp_path / "a.mp4", EVEN), tmp_path / "b.mp4"):
        path.touch()
        with path.open("rb") as file:
            assert not is_our_video(file)
