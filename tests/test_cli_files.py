"""Files in and out of the command line: originals stay, names of any bytes, nothing left out in silence."""

import errno
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.recordings import shaded, write_coded
from support.storing import started

from edged.cli.analyze import _sorted_out
from edged.store import Store

EVEN = [number / 25 for number in range(48)]
ODD = "\udcff\udcfe"
"""A name that is no UTF-8."""


def edged(*arguments: str | Path, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edged", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        cwd=folder,
        env={**os.environ, **environment},
        check=False,
    )


def analyze(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return edged("analyze", "--only", "mask", *arguments, **environment)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("edged: ")
    return line


def records(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def picture(path: Path, shade: int = 5) -> Path:
    path.parent.mkdir(exist_ok=True)
    good, data = cv2.imencode(path.suffix, shaded(shade))
    assert good
    path.write_bytes(data.tobytes())
    return path


def shade_of(path: Path) -> int:
    return round(float(cv2.imread(str(path)).mean()) / 12)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edged.toml"
    path.write_text(f'[device]\nid = "test"\n[store]\npath = "{tmp_path}/edged.db"\n')
    with Store(tmp_path / "edged.db") as store:
        store.write([started("E1", 1)])
    return path


# --- annotated copies


@pytest.mark.parametrize("way", ["same folder", "symbolic link", "hard link"])
def test_originals_are_never_written_over(tmp_path: Path, way: str) -> None:
    pics, out = tmp_path / "pics", tmp_path / "out"
    picture(pics / "a.jpg")
    picture(pics / "b.png")
    write_coded(pics / "c.mp4", EVEN)
    if way == "same folder":
        out = pics
    elif way == "symbolic link":
        out.symlink_to(pics)
    else:
        out.mkdir()
        os.link(pics / "c.mp4", out / "c.mp4")
    before = {file: file.read_bytes() for file in pics.iterdir()}
    done = analyze(pics, "--out", out)
    assert done.returncode == 2
    assert "would be written over; choose another --out" in one_line(done)
    assert {file: file.read_bytes() for file in pics.iterdir()} == before


def test_a_file_that_somebody_else_made_is_not_written_over(tmp_path: Path) -> None:
    picture(tmp_path / "pics" / "a.jpg", 5)
    mine = picture(tmp_path / "out" / "a.jpg", 9)
    done = analyze(tmp_path / "pics", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "was not made by `edged analyze`" in one_line(done)
    assert shade_of(mine) == 9


def test_copies_are_made_anew(tmp_path: Path) -> None:
    one, video, out = picture(tmp_path / "pics" / "a.jpg", 5), tmp_path / "pics" / "v.mkv", tmp_path / "out"
    write_coded(video, EVEN[:5])
    assert analyze(tmp_path / "pics", "--out", out).returncode == 0
    picture(one, 9)
    done = analyze(tmp_path / "pics", "--out", out)
    assert done.returncode == 0, done.stderr
    assert shade_of(out / "a.jpg") == 9
    assert done.stderr == f"edged: 2 annotated files in {out}\n"
    assert done.stdout == f"{one}: 0 faces\n{video}: 0.2 s, 5 pictures, 0 passages\n"
    assert {file.name for file in out.iterdir()} == {"a.jpg", "v.mp4"}


def test_a_copy_of_an_earlier_run_is_not_told_as_made(tmp_path: Path) -> None:
    one, video, out = picture(tmp_path / "pics" / "a.jpg"), tmp_path / "pics" / "v.mkv", tmp_path / "out"
    write_coded(video, EVEN[:5])
    assert analyze(tmp_path / "pics", "--out", out).returncode == 0
    one.write_bytes(b"")
    video.write_bytes(b"no video")
    picture(tmp_path / "pics" / "b.jpg")
    done = analyze(tmp_path / "pics", "--out", out)
    assert done.returncode == 1
    assert f"edged: 1 annotated file in {out}" in done.stderr.splitlines()


def test_pictures_of_the_same_name_have_copies_of_their_own(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "a.jpg", 3)
    picture(tmp_path / "two" / "a.jpg", 6)
    picture(tmp_path / "two" / "a.png", 9)
    picture(tmp_path / "two" / "A.bmp", 12)
    picture(tmp_path / "two" / "a-2.jpg", 15)
    done = analyze(tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(shade_of(file) for file in (tmp_path / "out").iterdir()) == [3, 6, 9, 12, 15]


def test_names_of_any_bytes_go_in_and_out(tmp_path: Path) -> None:
    picture(tmp_path / "pics" / f"{ODD}.png")
    write_coded(tmp_path / "pics" / "v.mp4", EVEN[:4]).rename(tmp_path / "pics" / f"{ODD}.mp4")
    done = analyze(tmp_path / "pics", "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert {record["source"] for record in records(done)} == {
        str(tmp_path / "pics" / f"{ODD}{s}") for s in (".png", ".mp4")
    }
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f"{ODD}.jpg", f"{ODD}.mp4"}
    told = analyze(tmp_path / "pics")
    assert r"\xff\xfe.png: 0 faces" in told.stdout


def test_annotated_videos_are_what_browsers_play(tmp_path: Path) -> None:
    video = write_coded(tmp_path / "v.mp4", [0.0, 1.0, 2.0, 2.04])
    assert analyze(video, "--out", tmp_path / "out").returncode == 0
    read = cv2.VideoCapture(str(tmp_path / "out" / "v.mp4"))
    assert int(read.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"h264", b"avc1")
    times = []
    while read.grab():
        times.append(read.get(cv2.CAP_PROP_POS_MSEC))
    assert times == pytest.approx([0, 1000, 2000, 2040], abs=2)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = analyze(picture(tmp_path / "a.png"), "--out", tmp_path / "file" / "out")
    assert (done.returncode, "cannot be made" in one_line(done)) == (1, True)


# --- what goes in


@pytest.mark.parametrize("name", ["copy.jpg", "copy.MP4"])
def test_a_picture_is_no_name_for_the_folder_of_the_copies(tmp_path: Path, name: str) -> None:
    done = analyze(picture(tmp_path / "a.jpg"), "--out", tmp_path / name)
    assert done.returncode == 2
    assert "name a folder with --out" in one_line(done)
    assert not (tmp_path / name).exists()


def test_a_recording_that_was_cut_off_is_analysed_as_far_as_it_goes(tmp_path: Path) -> None:
    video = write_coded(tmp_path / "v.mp4", EVEN, size=160)
    os.truncate(video, video.stat().st_size // 2)
    done = analyze(video, "--json", "--out", tmp_path / "out")
    shown = records(done)
    assert done.returncode == 1
    assert 5 < len(shown) < 48
    assert f"v.mp4: cut off: {len(shown)} of 48 pictures can be read; copy or record it again" in one_line(done)
    assert int(cv2.VideoCapture(str(tmp_path / "out" / "v.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)) == len(shown)


def test_a_raw_stream_is_read_and_its_assumed_rate_said(tmp_path: Path) -> None:
    done = analyze(write_coded(tmp_path / "v.h264", EVEN), "--json")
    assert done.returncode == 0
    assert "holds no time stamps; 25 pictures a second are assumed, unless --fps says otherwise" in one_line(done)
    told = analyze(tmp_path / "v.h264", "--json", "--fps", "0.5")
    assert (told.stderr, records(told)[-1]["time_s"]) == ("", 94.0)


def test_nothing_of_a_folder_is_left_out_in_silence(tmp_path: Path) -> None:
    pics = tmp_path / "pics"
    for name in ("a.avif", "b.webp"):
        picture(pics / name)
    for name in ("c.h264", "d.3gp", "e.mts", "f.flv", "g.wmv", "h.gif"):
        write_coded(pics / name, EVEN)
    (pics / "i.heic").write_bytes(b"\0\0\0\x24ftypheic")
    (pics / "notes.txt").touch()
    (pics / "sub").mkdir()
    done = analyze(pics, "--json")
    assert done.returncode == 1
    assert {Path(record["source"]).name for record in records(done)} == {
        *("a.avif", "b.webp", "c.h264", "d.3gp", "e.mts", "f.flv", "g.wmv", "h.gif")
    }
    assert "left out: notes.txt, sub" in done.stderr
    assert "i.heic: this kind of file is not read; convert it to JPEG or MP4" in done.stderr


def test_a_file_that_is_neither_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Bring the ladder.")
    done = analyze(tmp_path / "notes.txt")
    assert "notes.txt: neither a picture nor a video that can be decoded; convert it to JPEG or MP4" in one_line(done)


def test_a_file_of_any_name_is_taken_for_what_it_is(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg").rename(tmp_path / "picture")
    write_coded(tmp_path / "v.mkv", EVEN[:3]).rename(tmp_path / "film.dat")
    done = analyze(tmp_path / "picture", tmp_path / "film.dat", "--json")
    assert done.returncode == 0, done.stderr
    assert [Path(record["source"]).name for record in records(done)] == ["picture", *["film.dat"] * 3]


@pytest.mark.parametrize("kind", [".png", ".tiff", ".jp2", ".bmp"])
def test_a_decoder_adds_nothing_to_the_line_about_a_damaged_picture(tmp_path: Path, kind: str) -> None:
    damaged = picture(tmp_path / "pics" / f"a{kind}")
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    done = analyze(damaged)
    assert (done.returncode, damaged.name in one_line(done)) == (1, True)


def test_what_has_no_end_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    (tmp_path / "endless.mp4").symlink_to("/dev/zero")
    done = analyze(tmp_path / "fifo", tmp_path / "endless.jpg", tmp_path / "endless.mp4")
    assert done.returncode == 1
    assert done.stderr.count("not a regular file") == 3


def test_a_copy_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    """A picture too long for JPEG, a copy too large for the disk, a video that cannot be coded: each is told, all else done."""
    pics = tmp_path / "pics"
    picture(pics / "a.png")
    (pics / "b.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(pics / "c.png"), np.zeros((4, 66_000, 3), np.uint8))
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)
    cv2.imwrite(str(pics / "d.png"), noise)
    write_coded(pics / "e.mp4", EVEN)
    picture(pics / "z.png")
    command = f"ulimit -f 64; exec {sys.executable} -m edged analyze --only mask --json --out {tmp_path}/out {pics}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    told = {Path(record["source"]).name for record in records(done)}
    assert told == {"a.png", "c.png", "d.png", "e.mp4", "z.png"}
    for name, reason in (("b.jpg", "not a picture"), ("c.png", "leave --out away"), ("d.jpg", "cannot be written")):
        assert any(name in line and reason in line for line in done.stderr.splitlines()), done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name for file in (tmp_path / "out").iterdir()} >= {"a.jpg", "z.jpg"}


def test_a_picture_that_a_detector_cannot_take_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    cv2.imwrite(str(tmp_path / "pics" / "a.png"), np.zeros((4, 33_000, 3), np.uint8))
    good = picture(tmp_path / "pics" / "z.png")
    done = analyze("--detector", "mtcnn", "--json", tmp_path / "pics")
    assert done.returncode == 1
    assert [record["source"] for record in records(done)] == [str(good)]
    assert f"{tmp_path}/pics/a.png: a picture of 33000 x 4 px is too long for MTCNN" in one_line(done)


def test_a_folder_that_cannot_be_listed_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = picture(tmp_path / "good" / "a.png"), tmp_path / "bad"
    bad.mkdir()
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder == bad:
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    problems: list[str] = []
    assert _sorted_out((bad, good.parent), problems) == ([good], [])
    assert problems == [f"{bad}: cannot be listed (Permission denied); let this user read it"]


def test_a_folder_whose_files_cannot_be_looked_at_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = picture(tmp_path / "good" / "a.png"), picture(tmp_path / "bad" / "b.png").parent
    looked = Path.is_dir

    def is_dir(path: Path) -> bool:
        if path.parent == bad:
            raise PermissionError(errno.EACCES, "Permission denied")
        return looked(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    problems: list[str] = []
    assert _sorted_out((bad, good.parent), problems) == ([good], [])
    assert problems == [f"{bad}: cannot be listed (Permission denied); let this user read it"]


# --- reports, masks, backups


def test_a_report_follows_links_and_keeps_the_umask(tmp_path: Path, config: Path) -> None:
    target = tmp_path / "there" / "page.html"
    target.parent.mkdir()
    (tmp_path / "link.html").symlink_to(target)
    command = f"umask 027; {sys.executable} -m edged report today --config {config} --out {tmp_path}/link.html"
    subprocess.run(["bash", "-c", command], check=True, timeout=120)
    assert (tmp_path / "link.html").is_symlink()
    assert target.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_report_goes_into_a_folder_that_is_not_there_yet(tmp_path: Path, config: Path) -> None:
    Store(tmp_path / "edged.db").close()
    done = edged("report", "2026-11-19", "--config", config, "--out", f"{tmp_path}/reports/of/2026/")
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (tmp_path / "reports" / "of" / "2026").iterdir()] == ["2026-11-19.html"]


def test_a_report_goes_into_a_fifo_and_to_standard_output(tmp_path: Path, config: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_text()), daemon=True)
    reader.start()
    assert edged("report", "today", "--format", "csv", "--config", config, "--out", tmp_path / "fifo").returncode == 0
    reader.join(60)
    printed = edged("report", "today", "--format", "csv", "--config", config, "--out", "/dev/stdout")
    assert got == [printed.stdout]
    assert "," in printed.stdout
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("verb", [("report", "today"), ("db", "backup")])
@pytest.mark.parametrize("name", ["edged.toml", "edged.db"])
def test_the_config_and_the_database_are_not_written_over(config: Path, verb: tuple[str, ...], name: str) -> None:
    before = config.with_name(name).read_bytes()
    done = edged(*verb, "--config", config, "--out", config.with_name(name))
    assert (done.returncode, "would be written over" in one_line(done)) == (2, True)
    assert config.with_name(name).read_bytes() == before


def test_a_backup_is_a_whole_database_also_over_an_older_one(tmp_path: Path, config: Path) -> None:
    for _ in range(2):
        done = edged("db", "backup", "--config", config, "--out", tmp_path / "copy.db")
        assert done.returncode == 0, done.stderr
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            assert copy.execute("SELECT event_id FROM events").fetchall() == [("E1",)]
    assert not [file for file in tmp_path.iterdir() if "partial" in file.name]


def test_a_mask_is_not_drawn_over_the_picture_itself(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    portrait = tmp_path / f"{ODD}.png"
    portrait.write_bytes(cv2.imencode(".png", data.astronaut()[..., ::-1])[1].tobytes())
    before = portrait.read_bytes()
    done = edged("wear-mask", portrait, "--out", portrait)
    assert (done.returncode, "would be written over" in one_line(done)) == (2, True)
    assert portrait.read_bytes() == before
    done = edged("wear-mask", portrait, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{ODD}-mask1.png").stat().st_size > 10_000
    printed = subprocess.run(
        [sys.executable, "-m", "edged", "wear-mask", portrait, "--out", "/dev/stdout"], capture_output=True, check=True
    )
    assert printed.stdout.startswith(b"\x89PNG")
    assert printed.stderr.startswith(b"/dev/stdout: ")


def test_a_name_that_nobody_asked_for_is_never_that_of_a_file_that_is_there(tmp_path: Path) -> None:
    portrait = tmp_path / "one.png"
    portrait.write_bytes(cv2.imencode(".png", pytest.importorskip("skimage.data").astronaut()[..., ::-1])[1].tobytes())
    for words, name in ((("--mask", "list"), "masks"), ((portrait,), "one-mask1")):
        (tmp_path / f"{name}.png").write_bytes(b"my own")
        (tmp_path / f"{name}-2.png").symlink_to("nowhere")
        done = edged("wear-mask", *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"{name}-3.png: " in done.stdout
        assert (tmp_path / f"{name}.png").read_bytes() == b"my own"
        assert (tmp_path / f"{name}-3.png").stat().st_size > 10_000


# --- wrong configs


def with_store(config: Path, path: str) -> Path:
    config.write_text(f'[device]\nid = "test"\n[camera.door]\nsource = "file:///none.mp4"\n[store]\npath = {path}\n')
    return config


CANNOT_BE = (
    *(r'"a\u0000b"', '":memory:"', '""', '"/"', '"file:x?mode=memory"', '"/x/ballast"', '"/x/edged.sock"'),
    *('"~/edged.db"', f'"/x/{"n" * 300}.db"'),
)


def pairs(usual: tuple[object, ...], others: tuple[object, ...], verbs: tuple[tuple[str, ...], ...]) -> list[object]:
    """The first verb with each thing, each verb with the `usual` ones; the rest of the product only with --long."""
    return [
        pytest.param(what, verb, marks=[pytest.mark.long] if verb != verbs[0] and what in others else [])
        for verb in verbs
        for what in usual + others
    ]


@pytest.mark.parametrize(
    ("path", "verb"), pairs(CANNOT_BE[:1], CANNOT_BE[1:], (("config", "check"), ("run",), ("events",)))
)
def test_a_store_that_cannot_be_is_exit_code_78_and_one_line(config: Path, path: str, verb: tuple[str, ...]) -> None:
    done = edged(*verb, "--config", with_store(config, path))
    assert done.returncode == 78
    assert "key store.path = " in one_line(done)


STORE_VERBS = (
    *(("run",), ("config", "check"), ("events",), ("db", "check"), ("db", "backup"), ("db", "prune"), ("doctor",)),
)


@pytest.mark.parametrize(("what", "verb"), pairs(("text",), ("folder", "fifo"), STORE_VERBS))
def test_a_store_that_is_something_else_is_left_alone(
    tmp_path: Path, config: Path, what: str, verb: tuple[str, ...]
) -> None:
    path = tmp_path / "store" / "mine"
    path.parent.mkdir()
    {"folder": path.mkdir, "fifo": lambda: os.mkfifo(path), "text": lambda: path.write_text("mine\n" * 99)}[what]()
    before = path.lstat()
    done = edged(*verb, "--config", with_store(config, f'"{path}"'))
    assert "Traceback" not in done.stderr
    if (what, verb) == ("text", ("events",)):  # SQLite itself says so
        assert (done.returncode, "file is not a database" in one_line(done)) == (69, True)
    else:
        assert done.returncode == (1 if verb == ("doctor",) else 78)
        assert "mine: is " in done.stderr + done.stdout
    after = path.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert [file.name for file in path.parent.iterdir()] == ["mine"]


def test_a_folder_in_place_of_the_config_is_exit_code_78(tmp_path: Path) -> None:
    done = edged("config", "check", "--config", tmp_path)
    assert done.returncode == 78
    assert f"{tmp_path}: cannot be read" in one_line(done)


def test_a_number_of_thousands_of_digits_is_answered_in_our_words(config: Path) -> None:
    config.write_text(f"[mask]\nvote_seconds = {'9' * 5000}\n")
    done = edged("config", "check", "--config", config)
    assert done.returncode == 78
    assert "a number of thousands of digits" in one_line(done)
    assert "sys." not in done.stderr


@pytest.mark.parametrize("key", ["config", "mqtt.password_file", "camera.credentials_file"])
def test_a_fifo_in_place_of_a_file_is_not_waited_for(tmp_path: Path, config: Path, key: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    if key == "config":
        config = tmp_path / "fifo"
    elif key == "mqtt.password_file":
        config.write_text(
            config.read_text() + f'[mqtt]\nhost = "h"\nusername = "u"\npassword_file = "{tmp_path}/fifo"\n'
        )
    else:
        camera = f'[camera.door]\nsource = "rtsp://127.0.0.1:1/a"\ncredentials_file = "{tmp_path}/fifo"\n'
        config.write_text(config.read_text() + camera)
    done = edged(*(("doctor",) if key.startswith("camera") else ("config", "check")), "--config", config)
    assert done.returncode == (1 if key.startswith("camera") else 78)
    assert "not a regular file" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_temporary_files_do_not_stay(tmp_path: Path) -> None:
    """A verb that is interrupted by an error leaves nothing half done."""
    picture(tmp_path / "pics" / "a.png")
    (tmp_path / "pics" / "v.mp4").write_bytes(b"no video")
    done = analyze(tmp_path / "pics", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a.jpg"}
    shutil.rmtree(tmp_path / "out")
