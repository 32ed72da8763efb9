"""Whether the TensorRT engine of a model may be used: the one place that says so, from what its last build found out.

The result of a build lies beside the plan that it is about, under the same key. It counts for that very plan and this release
of edged only: the next one may have other golden pictures, or limits.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edged import __version__
from edged.config import Config, ModelsConfig
from edged.errors import ModelError
from edged.inference import Manifest, ModelEntry
from edged.inference.tensorrt import (
    BuildOptions,
    EngineCache,
    EngineKey,
    Toolkit,
    engine_key,
    find_toolkit,
    tensorrt_available,
)
from edged.shared_remedies import BUILD

MOST_ATTEMPTS = 2
"""So often the build of an engine may end without a result (it crashed, or was killed) before it is given up."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """Of one engine. `agrees`: its outputs on the golden inputs are the CPU's; else `problem` says why it is not used.

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

    def serves(self, models: ModelsConfig) -> bool:
        """Whether the engine runs its model under this config."""
        return models.tries_tensorrt and (self.faster if models.backend == "auto" else self.agrees)


def failed(model: str, problem: str) -> BuildResult:
    """The result for an engine that is not to be used."""
    return BuildResult(model, agrees=False, problem=problem, gpu_ms=None, cpu_ms=None)


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Of one model's engine. `why` is one line where there is more to say; `runs_on` is the backend that the config takes.

    Only a "built" engine may be used. `result` is None until the plan that is there was compared with the CPU.
    """

    state: Literal["none", "built", "stale", "refused", "unknown"]
    why: str = ""
    result: BuildResult | None = None
    runs_on: str = "onnxruntime"

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        result = None if self.result is None else asdict(self.result)
        return {"state": self.state, "why": self.why, "verdict": result, "runs_on": self.runs_on}


def engine_status(cache: EngineCache, key: EngineKey, models: ModelsConfig) -> EngineStatus:
    """Of the engine for `key`; looks only, and changes nothing."""
    record = _read(cache, key)
    result = record.result
    if result is not None and not result.agrees:
        return EngineStatus("refused", result.problem or "", result)
    if result is not None and _plan_sha256(cache, key) == record.plan_sha256:
        return EngineStatus("built", "", result, "tensorrt" if result.serves(models) else "onnxruntime")
    if cache.has(key):
        try:
            cache.load(key)
        except ModelError as error:
            return EngineStatus("refused", str(error))
        return EngineStatus("stale", f"not compared with the CPU yet; {BUILD}")
    if _has_any(cache, key.model):
        return EngineStatus("stale", f"of another TensorRT, GPU, model or config; {BUILD}")
    return EngineStatus("none")


def engine_statuses(manifest: Manifest, config: Config) -> dict[str, EngineStatus]:
    """By model, of all in the manifest."""
    try:
        cache = existing_cache(config)
    except ModelError as error:
        return dict.fromkeys(manifest.entries, EngineStatus("unknown", str(error)))
    if cache is None:
        return dict.fromkeys(manifest.entries, EngineStatus("none"))
    if missing := tensorrt_available():
        stale = EngineStatus("stale", missing)
        return {name: stale if _has_any(cache, name) else EngineStatus("none") for name in manifest.entries}
    toolkit = find_toolkit()
    return {
        name: engine_status(cache, plan_key(toolkit, entry, config.models), config.models)
        for name, entry in manifest.entries.items()
    }


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
    """Of the plan that the result is about; None where there is none."""
    attempts: int = 0
    """Builds that ended without a result."""
    result: BuildResult | None = None


def store_result(cache: EngineCache, key: EngineKey, result: BuildResult) -> None:
    """Keep it, for the plan that is there now; of a failed one the plan is deleted. Raise ModelError if that fails."""
    if not result.agrees:
        cache.discard(key)
    _write(cache, key, _Record(key=key.digest(), plan_sha256=_plan_sha256(cache, key), result=result))


def count_attempt(cache: EngineCache, key: EngineKey, problem: str) -> None:
    """Remember that a build ended without a result; the last of MOST_ATTEMPTS is one. Raise ModelError if that fails."""
    attempts = _read(cache, key).attempts + 1
    if attempts < MOST_ATTEMPTS:
        _write(cache, key, _Record(key=key.digest(), attempts=attempts))
    else:
        store_result(cache, key, failed(key.model, problem))


def _read(cache: EngineCache, key: EngineKey) -> _Record:
    """The record for `key`; an empty one when there is none, or it is damaged or of another release."""
    empty = _Record(key=key.digest())
    try:
        record = _Record.model_validate_json(cache.result(key))
    except ValidationError:
        return empty
    return record if (record.key, record.edged) == (empty.key, empty.edged) else empty


def _write(cache: EngineCache, key: EngineKey, record: _Record) -> None:
    cache.store_result(key, record.model_dump_json().encode())


def _plan_sha256(cache: EngineCache, key: EngineKey) -> str | None:
    try:
        return hashlib.sha256(cache.load(key)).hexdigest()
    except ModelError:
        return None


def _has_any(cache: EngineCache, model: str) -> bool:
    """Whether there is a plan of this model, of whatever key."""
    return any(stem.rpartition("-")[0] == model for stem in cache.stems())
