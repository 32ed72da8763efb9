"""The folder of built engines: whole or not there, the daemon's own, and refused before it is loaded when altered."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edged.errors import ModelError
from edged.inference.manifest import ProfileEntry
from edged.inference.tensorrt import CacheFullError, EngineCache, EngineKey, Gpu
from edged.inference.tensorrt.cache import profiles_text

GPU = Gpu("Orin", "8.7", "36.4.0")
PROFILE = ProfileEntry(min=(1, 4), opt=(2, 4), max=(8, 4))
KEY = EngineKey("mask", "a" * 64, "fp16", profiles_text({"faces": PROFILE}), ("strongly-typed",), "10.3.0", GPU)
PLAN = np.random.default_rng(0).bytes(20_000)


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def names(cache):
    return sorted(path.name for path in cache.directory.iterdir())


def test_what_was_stored_is_loaded(cache):
    assert not cache.has(KEY)
    cache.store(KEY, PLAN)
    assert cache.has(KEY)
    assert EngineCache(cache.directory).load(KEY) == PLAN
    assert names(cache) == [f"{KEY.stem}.json", f"{KEY.stem}.plan"]


def test_nothing_is_readable_by_others(cache):
    cache.store(KEY, PLAN)
    assert cache.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in cache.directory.iterdir()} == {0}


def test_a_missing_plan_says_what_to_run(cache):
    with pytest.raises(ModelError, match="not built yet; run `edged engines build`"):
        cache.load(KEY)


def test_a_thousand_flipped_bits_are_a_thousand_refusals(cache):
    path = cache.store(KEY, PLAN)
    rng = np.random.default_rng(1)
    refused = 0
    for bit in rng.choice(len(PLAN) * 8, 1000, replace=False).tolist():
        flipped = bytearray(PLAN)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ModelError, match="is not the engine that was built here"):
            cache.load(KEY)
        refused += 1
    assert refused == 1000
    path.write_bytes(PLAN)
    assert cache.load(KEY) == PLAN


def test_every_flipped_bit_of_the_record_is_a_refusal_or_changes_nothing(cache):
    cache.store(KEY, PLAN)
    path = cache.directory / f"{KEY.stem}.json"
    record = path.read_bytes()
    for bit in range(len(record) * 8):
        flipped = bytearray(record)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert cache.load(KEY) == PLAN  # in the model's name, which is for people
        except ModelError as error:
            assert "is not the engine that was built here" in str(error)  # noqa: PT017


@pytest.mark.parametrize("size", [0, 1, 100, len(PLAN) - 1])
def test_a_truncated_plan_is_refused(cache, size):
    path = cache.store(KEY, PLAN)
    path.write_bytes(PLAN[:size])
    with pytest.raises(ModelError, match="is not the engine"):
        cache.load(KEY)


def test_a_plan_under_another_key_is_refused(cache):
    """Somebody renames a plan of an older model to the name of the new one."""
    other = replace(KEY, model_sha256="b" * 64)
    cache.store(other, PLAN)
    for suffix in ("plan", "json"):
        (cache.directory / f"{other.stem}.{suffix}").rename(cache.directory / f"{KEY.stem}.{suffix}")
    with pytest.raises(ModelError, match="is not the engine"):
        cache.load(KEY)


def test_links_pipes_and_files_that_others_can_write_are_refused(cache, tmp_path):
    path = cache.store(KEY, PLAN)
    outside = tmp_path / "outside"
    outside.write_bytes(PLAN)
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(ModelError, match="cannot be read"):
        cache.load(KEY)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(ModelError, match="only edged's user can write"):
        cache.load(KEY)
    path.unlink()
    path.write_bytes(PLAN)
    path.chmod(0o666)
    with pytest.raises(ModelError, match="only edged's user can write"):
        cache.load(KEY)


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "own")
    (tmp_path / "file").write_bytes(b"")
    for name in ("open", "link"):
        with pytest.raises(ModelError, match="nobody else can enter"):
            EngineCache(tmp_path / name)
    with pytest.raises(ModelError, match="cannot be made"):
        EngineCache(tmp_path / "file")


def test_old_plans_timings_and_what_killed_builds_left_are_pruned(cache):
    newer = replace(KEY, tensorrt="10.7.0")
    for key in (KEY, newer, replace(KEY, model_sha256="b" * 64)):
        cache.store(key, PLAN)
    cache.store_timing_cache(KEY, b"old")
    cache.store_timing_cache(newer, b"new")
    (cache.directory / ".partial-abc").write_bytes(PLAN)
    gone = cache.prune([newer])
    assert len(gone) == 6
    assert names(cache) == sorted([f"{newer.stem}.json", f"{newer.stem}.plan", f"timing-{newer.machine}.cache"])
    assert cache.load(newer) == PLAN
    assert cache.timing_cache(newer) == b"new"
    assert cache.prune([newer]) == []


def test_a_discarded_plan_is_gone(cache):
    cache.store(KEY, PLAN)
    cache.discard(KEY)
    cache.discard(KEY)
    assert names(cache) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(cache, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"cannot be written \(No space left on device\); make room"):
        cache.store(KEY, PLAN)
    assert names(cache) == []


CHANGES = {
    "store": lambda cache: cache.store(KEY, PLAN),
    "discard": lambda cache: cache.discard(KEY),
    "forget": lambda cache: cache.forget(KEY),
    "prune": lambda cache: cache.prune([]),
    "building": lambda cache: cache.building().__enter__(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_disk_that_takes_no_changes_any_more_is_one_line(cache, monkeypatch, change):
    cache.store(KEY, PLAN)
    (cache.directory / ".edged-1.partial").touch()

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(
            CacheFullError, match=r"cannot be written \(Read-only file system\); see that edged's user can"
        ):
            change(cache)
    assert cache.load(KEY) == PLAN


def test_a_folder_that_is_gone_is_one_line(cache):
    cache.directory.rmdir()
    for change in ("prune", "building"):
        with pytest.raises(CacheFullError, match="No such file"):
            CHANGES[change](cache)


def test_a_disk_that_fails_is_a_plan_that_cannot_be_read(cache, monkeypatch):
    path, opened = cache.store(KEY, PLAN), os.open
    # Of that file the kernel lets nobody read the beginning: there is nothing in that part of the memory.
    monkeypatch.setattr(os, "open", lambda name, flags: opened("/proc/self/mem" if name == path else name, flags))
    with pytest.raises(ModelError, match=r"cannot be read \(Input/output error\)"):
        cache.load(KEY)


def test_a_build_killed_at_any_moment_leaves_the_old_plan_or_the_new_one(tmp_path):
    """Never a mixture, never one that is refused at the next start."""
    code = """
        import sys
        from pathlib import Path
        from edged.inference.tensorrt import EngineCache, EngineKey, Gpu
        cache = EngineCache(Path(sys.argv[1]))
        key = EngineKey("mask", "a" * 64, "fp16", "{}", (), "10.3.0", Gpu("Orin", "8.7", ""))
        number = 0
        print("ready", flush=True)
        while True:
            cache.store(key, bytes([number % 256]) * 3_000_000)
            number += 1
    """
    folder = tmp_path / "engines"
    key = EngineKey("mask", "a" * 64, "fp16", "{}", (), "10.3.0", Gpu("Orin", "8.7", ""))
    for turn in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.05 + 0.031 * turn)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        cache = EngineCache(folder)
        cache.prune([key])
        assert not [name for name in names(cache) if "partial" in name]
        if cache.has(key):
            assert len(set(cache.load(key))) == 1
