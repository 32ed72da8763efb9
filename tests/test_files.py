"""The one writer of what people ask for: nothing that is read, special, or somebody else's comes to harm."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from edged.errors import Failed, UsageError
from edged.files import lock, open_regular, read_regular, replace, scratch, write, writing


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


# --- new files


def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path: Path, umask: None) -> None:
    write(tmp_path / "a", b"1")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert files(tmp_path) == {"a"}


def test_a_new_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), writing(tmp_path / "a") as file:
        file.write(b"half")
        file.flush()
        assert "a" not in files(tmp_path)
        raise KeyboardInterrupt
    assert files(tmp_path) == set()


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="File exists"), scratch(tmp_path / "a"):
        (tmp_path / "a").write_text("theirs")
    assert (tmp_path / "a").read_text() == "theirs"
    assert files(tmp_path) == {"a"}


def test_without_hard_links_a_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*paths: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert files(tmp_path) == {"a"}


def test_the_longest_name_and_one_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "\udcff\udcfe"):
        write(tmp_path / name, b"1")
        assert (tmp_path / name).read_bytes() == b"1"


@pytest.mark.parametrize("name", ["none/a", "file/a", "n" * 256])
def test_what_cannot_be_made_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failed, match=r"cannot be written .*; choose another file"):
        write(tmp_path / name, b"1")


# --- files that are there


def test_a_file_that_is_there_keeps_its_identity(tmp_path: Path, umask: None) -> None:
    path, other = tmp_path / "a", tmp_path / "another name of it"
    path.write_text("something longer than what comes")
    path.chmod(0o604)
    os.link(path, other)
    before = path.stat()
    write(path, b"new")
    after = path.stat()
    assert (after.st_ino, after.st_mode, after.st_nlink) == (before.st_ino, before.st_mode, 2)
    assert other.read_bytes() == b"new"


def test_a_file_that_is_there_keeps_its_content_until_all_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with suppress(KeyboardInterrupt), writing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert files(tmp_path) == {"a"}


PARENT = "import os, signal, sys; from pathlib import Path; from edged import files; target = Path(sys.argv[1]); "


def ended(program: str, target: Path) -> int:
    return subprocess.run([sys.executable, "-c", PARENT + program, str(target)], timeout=60, check=False).returncode


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGHUP"])
def test_a_program_that_is_ended_leaves_nothing_half_made(tmp_path: Path, ending: str) -> None:
    program = (
        f"context = files.writing(target); context.__enter__().write(b'half'); os.kill(os.getpid(), signal.{ending})"
    )
    assert ended(program, tmp_path / "a") == -getattr(signal, ending)
    assert files(tmp_path) == set()
    ignored = f"signal.signal(signal.{ending}, signal.SIG_IGN); files.write(target, b'1'); os.kill(os.getpid(), signal.{ending})"
    assert ended(ignored, tmp_path / "a") == 0
    assert ended(f"files.write(target, b'2'); os.kill(os.getpid(), signal.{ending})", tmp_path / "a") != 0
    assert (tmp_path / "a").read_bytes() == b"2"


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_file_that_is_there_has_the_old_or_the_new_content_whole(tmp_path: Path, ending: str) -> None:
    """A signal that comes while the new content is put in its place waits until it is there."""
    path = tmp_path / "a"
    path.write_bytes(b"old and long")
    program = (
        "copy = files.shutil.copyfileobj; files.shutil.copyfileobj = lambda source, file: "
        f"(file.write(source.read(1)), file.flush(), os.kill(os.getpid(), signal.{ending}), copy(source, file)); "
        "files.write(target, b'new')"
    )
    assert ended(program, path) != 0
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == {"a"}


def test_a_full_disk_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    limited = (
        "import resource, signal, sys; from pathlib import Path; from edged.files import _pour; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); target = Path(sys.argv[1]); "
        "partial = target.with_name('partial'); partial.write_bytes(bytes(100_000)); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); _pour(partial, target, target.stat())"
    )
    done = subprocess.run([sys.executable, "-c", limited, str(path)], capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert path.read_text() == "old"


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, content in (("old", b"1"), ("new", None)):
        target, link = tmp_path / "there" / name, tmp_path / name
        if content is not None:
            target.write_bytes(content)
        link.symlink_to(target)
        write(link, b"written")
        assert link.is_symlink()
        assert target.read_bytes() == b"written"
    assert files(tmp_path / "there") == {"old", "new"}


def test_links_that_lead_in_a_ring_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(Failed, match="cannot be written"):
        write(tmp_path / "a", b"1")


def test_a_fifo_is_written_as_a_stream(tmp_path: Path) -> None:
    path, got = tmp_path / "fifo", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()), daemon=True)
    reader.start()
    write(path, b"x" * 200_000)
    reader.join(60)
    assert got == [b"x" * 200_000]
    assert path.is_fifo()


def test_a_device_is_written_as_a_stream() -> None:
    before = Path("/dev/null").stat()
    write(Path("/dev/null"), b"1")
    assert Path("/dev/null").stat() == before
    with pytest.raises(Failed, match="No space left"):
        write(Path("/dev/full"), b"1")


@pytest.mark.parametrize("redirected", ["> {file}", ">> {file}", "| cat > {file}"])
def test_standard_output_is_added_to_and_never_replaced(tmp_path: Path, redirected: str) -> None:
    file = tmp_path / "log"
    code = "from pathlib import Path; from edged.files import write; write(Path('/dev/stdout'), b'ours')"
    command = f'(echo before; {sys.executable} -c "{code}"; echo after) {redirected.format(file=file)}'
    subprocess.run(["bash", "-c", command], check=True, timeout=120)
    assert file.read_text() == "before\noursafter\n"
    assert Path("/dev/stdout").is_symlink()


def test_a_folder_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write(tmp_path, b"1")
    assert files(tmp_path) == set()


# --- what is read


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "other spelling"])
def test_what_is_read_is_not_written_over(tmp_path: Path, way: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("original")
    if way == "symbolic link":
        target.symlink_to(source)
    elif way == "hard link":
        os.link(source, target)
    else:
        target = source if way == "itself" else tmp_path / ".." / tmp_path.name / "source"
    with (
        pytest.raises(UsageError, match=r"is read, and would be written over|which is read and would be written over"),
        scratch(target, [tmp_path / "none", source]),
    ):
        pytest.fail("it must not get here")
    assert source.read_text() == "original"


def test_only_regular_files_are_read_and_no_more_than_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "fifo")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_regular(tmp_path / "file", 4)
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(path)


# --- edged's own files


def test_a_file_of_its_own_is_replaced_whole_or_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record"
    replace(path, b"old", 0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"old", 0o640)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == {"record"}


def test_a_lock_keeps_others_out_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert lock(first)
    assert not lock(second)
    os.close(first)
    assert lock(second)
    os.close(second)
