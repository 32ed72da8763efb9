"""What is known of one prepared engine: whether it answers as the CPU does, how fast it is, and where that is written down.

A verdict lies beside the plan that it is about, under the same key. It counts for that very plan and this release of edged
only: the next one may have other golden pictures, or limits.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edged import __version__
from edged.config import Config, ModelsConfig
from edged.errors import ModelError
from edged.inference import ModelEntry
from edged.inference.tensorrt import BuildOptions, EngineCache, EngineKey, Toolkit, engine_key

MOST_TRIES = 2
"""So often the preparation of an engine may end without a verdict (it crashed, or was killed) before it is given up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one prepared engine. `agrees`: it answers as the CPU does on the golden inputs; else `problem` says why not.

    `gpu_ms` and `cpu_ms` are milliseconds of one run on the golden inputs: the fastest of many in turns, because the daemon
    works beside the measurement and slows the CPU's runs more than the GPU's.
    """

    model: str
    agrees: bool
    problem: str | None
    gpu_ms: float | None
    cpu_ms: float | None

    @property
    def faster(self) -> bool:
        """Whether the engine is worth its place; what `models.backend = "auto"` goes by."""
        return self.agrees and self.gpu_ms is not None and self.cpu_ms is not None and self.gpu_ms < self.cpu_ms


def failed(model: str, problem: str) -> Verdict:
    """The verdict on an engine that is not to be used."""
    return Verdict(model, agrees=False, problem=problem, gpu_ms=None, cpu_ms=None)


def engines_folder(config: Config) -> Path:
    """Where the plans of the daemon with this config lie: beside its database, in its state directory."""
    return config.store.path.parent / "engines"


def existing_cache(config: Config) -> EngineCache | None:
    """The folder of plans, None where none was ever made. Raise ModelError when this user must not enter it."""
    folder = engines_folder(config)
    try:
        folder.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{folder}: cannot be entered ({error.strerror}); run it as edged's user") from None
    return EngineCache(folder)


def is_wanted(verdict: Verdict | None, models: ModelsConfig) -> bool:
    """Whether the engine of this verdict runs its model under this config."""
    if verdict is None or not models.looks_for_tensorrt:
        return False
    return verdict.faster if models.backend == "auto" else verdict.agrees


def build_options(entry: ModelEntry, models: ModelsConfig) -> BuildOptions:
    """How `entry` is built under this config. A DLA knows no FP32, so what needs that runs on the GPU."""
    return BuildOptions(entry.precision, accelerator=models.dla_core if entry.precision == "fp16" else None)


def plan_key(toolkit: Toolkit, entry: ModelEntry, models: ModelsConfig) -> EngineKey:
    """The key of the plan that `entry` has on this machine under this config."""
    return engine_key(toolkit, entry, build_options(entry, models))


class _Record(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: str
    edged: str = __version__
    plan_sha256: str | None = None
    """Of the plan that the verdict is about; None where there is none."""
    tries: int = 0
    """Preparations that ended without a verdict."""
    verdict: Verdict | None = None


def stored_verdict(cache: EngineCache, key: EngineKey) -> Verdict | None:
    """What was found out about the plan for `key`; None when nothing was, or that plan is not there any more, or altered."""
    record = _read(cache, key)
    if record.verdict is not None and record.verdict.agrees and _plan_sha256(cache, key) != record.plan_sha256:
        return None
    return record.verdict


def store_verdict(cache: EngineCache, key: EngineKey, verdict: Verdict) -> None:
    """Keep it, for the plan that is there now; of a failed one the plan is deleted. Raise ModelError if that fails."""
    if not verdict.agrees:
        cache.discard(key)
    _write(cache, key, _Record(key=key.digest(), plan_sha256=_plan_sha256(cache, key), verdict=verdict))


def count_try(cache: EngineCache, key: EngineKey, problem: str) -> None:
    """Remember that a preparation ended without a verdict; the last of MOST_TRIES is one. Raise ModelError if that fails."""
    tries = _read(cache, key).tries + 1
    if tries < MOST_TRIES:
        _write(cache, key, _Record(key=key.digest(), tries=tries))
    else:
        store_verdict(cache, key, failed(key.model, problem))


def _read(cache: EngineCache, key: EngineKey) -> _Record:
    """The record for `key`; an empty one when there is none, or it is damaged or of another release."""
    empty = _Record(key=key.digest())
    try:
        record = _Record.model_validate_json(cache.verdict(key))
    except ValidationError:
        return empty
    return record if (record.key, record.edged) == (empty.key, empty.edged) else empty


def _write(cache: EngineCache, key: EngineKey, record: _Record) -> None:
    cache.store_verdict(key, record.model_dump_json().encode())


def _plan_sha256(cache: EngineCache, key: EngineKey) -> str | None:
    try:
        return hashlib.sha256(cache.load(key)).hexdigest()
    except ModelError:
        return None
