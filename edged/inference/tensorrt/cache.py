"""The folder of built plans: each under a key of everything it depends on, its hash beside it, checked before each load.

A plan is code that runs in the daemon. So plans are taken only from the daemon's own state directory, which nobody else
can write to, and only when they are what the daemon itself put there; never from the config, a model or the network.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edged.errors import ModelError
from edged.files import lock, replace
from edged.inference.manifest import ProfileEntry
from edged.inference.tensorrt.binding import Gpu, Precision
from edged.shared_remedies import BUILD

RECIPE = 1
"""Raised when the code makes other plans from the same inputs."""

MAX_PLAN_BYTES = 1 << 30

_PARTIAL = ".partial"
"""In the name of every file that is half written."""
_SUFFIXES = (".plan", ".json", ".result", ".cache")


class CacheFullError(ModelError):
    """Something cannot be written: the disk is full, or the folder has gone. Nothing is wrong with the model."""


class CacheBusyError(ModelError):
    """Another process builds engines in the same folder."""


@dataclass(frozen=True, slots=True)
class EngineKey:
    """Everything a plan depends on; if one thing changes, another plan is built."""

    model: str
    model_sha256: str
    precision: Precision
    profiles: str
    """As canonical JSON; see `profiles_text`."""
    flags: tuple[str, ...]
    tensorrt: str
    gpu: Gpu
    recipe: int = RECIPE

    def digest(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def stem(self) -> str:
        """The files' name, without suffix."""
        return f"{self.model}-{self.digest()[:20]}"

    @property
    def machine(self) -> str:
        """What timings depend on: TensorRT and the GPU, but not the model."""
        text = json.dumps([self.tensorrt, asdict(self.gpu)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]


def profiles_text(profiles: Mapping[str, ProfileEntry]) -> str:
    """The profiles in one way only."""
    return json.dumps({name: profile.model_dump() for name, profile in profiles.items()}, sort_keys=True)


class EngineCache:
    """Plans and timing caches in one folder."""

    def __init__(self, directory: Path) -> None:
        """Make the folder, for this user alone. Raise ModelError when it is another's, or others can write to it."""
        self.directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = directory.lstat()
        except OSError as error:
            raise ModelError(f"{directory}: cannot be made ({error.strerror}); let edged's user own it") from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ModelError(
                f"{directory}: engines are code, so it must be a folder of edged's user that nobody else can enter; "
                "make it so (`chmod 700`, `chown`)"
            )

    def has(self, key: EngineKey) -> bool:
        """Whether there is a plan for `key`; not whether it is whole."""
        return self._plan(key).is_file() and self._record(key).is_file()

    def load(self, key: EngineKey) -> bytes:
        """The plan for `key`, if it is what was stored. Raise ModelError when it is not there, or not so."""
        return self._checked(key.stem, key.digest())

    def stems(self) -> list[str]:
        """The names of all plans that are there, of whatever key; one without its record counts for nothing."""
        return sorted(path.stem for path in self.directory.glob("*.plan") if path.with_suffix(".json").is_file())

    def altered(self) -> list[str]:
        """One line for each plan, of whatever key, that is not what was stored."""
        lines = []
        for stem in self.stems():
            try:
                self._checked(stem)
            except ModelError as error:
                lines.append(str(error))
        return lines

    def _checked(self, stem: str, digest: str | None = None) -> bytes:
        """The plan in `stem`.plan, if its record says so, and is of the key with this digest."""
        path, record = self.directory / f"{stem}.plan", self.directory / f"{stem}.json"
        try:
            expected = json.loads(_read_own(record, 1 << 16))
            right = expected["key"] == digest if digest else stem.endswith(f"-{expected['key'][:20]}")
            recorded = expected["plan_sha256"] if right else None
        except (ValueError, KeyError, TypeError):
            recorded = None
        plan = _read_own(path, MAX_PLAN_BYTES)
        if not isinstance(recorded, str) or hashlib.sha256(plan).hexdigest() != recorded:
            raise ModelError(f"{path}: is not the engine that was built here; {BUILD}")
        return plan

    def store(self, key: EngineKey, plan: bytes) -> Path:
        """Keep `plan`, whole or not at all: the record, written last, makes it count. Raise ModelError if that fails."""
        record = {"model": key.model, "key": key.digest(), "plan_sha256": hashlib.sha256(plan).hexdigest()}
        self._remove(self._record(key))
        try:
            self._write(self._plan(key), plan)
            self._write(self._record(key), json.dumps(record).encode())
        except BaseException:
            with contextlib.suppress(CacheFullError):  # the first reason is the one to tell
                self.discard(key)
            raise
        return self._plan(key)

    def discard(self, key: EngineKey) -> None:
        """Forget the plan for `key`: it was refused, or has failed its check. Raise CacheFullError if that fails."""
        self._remove(self._record(key))
        self._remove(self._plan(key))

    def prune(self, current: Collection[EngineKey]) -> list[str]:
        """Delete plans and timings of other versions, and what killed builds left; the names of what is gone.

        Call when no build runs. Raise CacheFullError if that fails.
        """
        stems = {key.stem for key in current} | {f"timing-{key.machine}" for key in current}
        files = [path for path in self._listed() if path.is_file()]
        gone = [path for path in files if path.stem not in stems or path.suffix not in _SUFFIXES]
        for path in gone:
            self._remove(path)
        return [path.name for path in gone]

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """To be held while plans and results are made: one process at a time, and what killed ones left is removed first.

        Raise CacheBusyError when another process builds, CacheFullError when the folder has gone or takes no changes. The kernel
        lets go of the folder when this one dies.
        """
        try:
            handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unwritten(self.directory, error) from None
        try:
            if not lock(handle):
                raise CacheBusyError(f"{self.directory}: another process builds engines there; wait for it")
            self._tidy()
            yield
        finally:
            os.close(handle)

    def _tidy(self) -> None:
        """Remove what killed builds left: files half written, and plans whose record never came."""
        for path in self._listed():
            if _PARTIAL in path.name or (path.suffix == ".plan" and not path.with_suffix(".json").exists()):
                self._remove(path)

    def timing_cache(self, key: EngineKey) -> bytes:
        """What builds for this GPU and TensorRT learnt; empty at first, and when it is damaged: it only saves time."""
        return self._unsealed(self._timing(key))

    def store_timing_cache(self, key: EngineKey, content: bytes) -> None:
        """Keep it, its hash in front. Raise ModelError if that fails."""
        self._write(self._timing(key), hashlib.sha256(content).digest() + content)

    def result(self, key: EngineKey) -> bytes:
        """What was written about the plan for `key`; empty when nothing was, and when it is damaged."""
        return self._unsealed(self._result(key))

    def store_result(self, key: EngineKey, content: bytes) -> None:
        """Keep it beside the plan, its hash in front; it outlives the plan. Raise ModelError if that fails."""
        self._write(self._result(key), hashlib.sha256(content).digest() + content)

    def forget(self, key: EngineKey) -> None:
        """Delete the plan for `key`, and what was written about it. Raise CacheFullError if that fails."""
        self._remove(self._result(key))
        self.discard(key)

    def _plan(self, key: EngineKey) -> Path:
        return self.directory / f"{key.stem}.plan"

    def _record(self, key: EngineKey) -> Path:
        return self.directory / f"{key.stem}.json"

    def _timing(self, key: EngineKey) -> Path:
        return self.directory / f"timing-{key.machine}.cache"

    def _result(self, key: EngineKey) -> Path:
        return self.directory / f"{key.stem}.result"

    def _unsealed(self, path: Path) -> bytes:
        """The content of a file that begins with its hash; empty when it is not there, not ours, or altered."""
        try:
            content = _read_own(path, MAX_PLAN_BYTES)
        except ModelError:
            return b""
        digest, body = content[:32], content[32:]
        return body if hashlib.sha256(body).digest() == digest else b""

    def _listed(self) -> list[Path]:
        try:
            return sorted(self.directory.iterdir())
        except OSError as error:
            raise self._unwritten(self.directory, error) from None

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritten(path, error) from None

    def _write(self, path: Path, content: bytes) -> None:
        try:
            replace(path, content)
        except OSError as error:
            raise self._unwritten(path, error) from None

    def _unwritten(self, path: Path, error: OSError) -> CacheFullError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = f"make room in {self.directory}" if full else f"see that edged's user can write in {self.directory}"
        return CacheFullError(f"{path}: cannot be written ({error.strerror}); {remedy}")


def _read_own(path: Path, most: int) -> bytes:
    """A file's bytes, if it is a plain file of this user that only this user can write. Raise ModelError otherwise."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ModelError(f"{path}: not built yet; {BUILD}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); delete it and {BUILD}") from None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise ModelError(f"{path}: is not a file that only edged's user can write; delete it and {BUILD}")
        if found.st_size > most:
            raise ModelError(f"{path}: {found.st_size} bytes are too many; delete it and {BUILD}")
        try:
            return file.read(most)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); delete it and {BUILD}") from None
