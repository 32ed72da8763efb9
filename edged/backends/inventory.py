"""What there is of each model's engine, and why it is used or not; looks only, and changes nothing."""

from dataclasses import dataclass
from typing import Literal

from edged.backends.verdict import Verdict, existing_cache, is_wanted, plan_key, stored_verdict
from edged.config import Config
from edged.errors import ModelError
from edged.inference import Manifest, ModelEntry
from edged.inference.tensorrt import EngineCache, Toolkit, find_toolkit, tensorrt_available

BUILD = "run `edged engines build`"


@dataclass(frozen=True, slots=True)
class EngineState:
    """Of one model's engine. `why` is one line where there is more to say; `runs_on` is the backend that the config takes."""

    state: Literal["none", "built", "stale", "refused", "unknown"]
    why: str = ""
    verdict: Verdict | None = None
    runs_on: str = "onnxruntime"


def engine_states(manifest: Manifest, config: Config) -> dict[str, EngineState]:
    """By model, of all in the manifest."""
    try:
        cache = existing_cache(config)
    except ModelError as error:
        return dict.fromkeys(manifest.entries, EngineState("unknown", str(error)))
    if cache is None:
        return dict.fromkeys(manifest.entries, EngineState("none"))
    missing = tensorrt_available()
    toolkit = None if missing else find_toolkit()
    return {name: _state(entry, config, cache, toolkit, missing or "") for name, entry in manifest.entries.items()}


def _state(entry: ModelEntry, config: Config, cache: EngineCache, toolkit: Toolkit | None, missing: str) -> EngineState:
    is_there = any(stem.rpartition("-")[0] == entry.name for stem in cache.stems())
    if toolkit is None:
        return EngineState("stale", missing) if is_there else EngineState("none")
    key = plan_key(toolkit, entry, config.models)
    verdict = stored_verdict(cache, key)
    if verdict is not None and verdict.agrees:
        return EngineState("built", "", verdict, "tensorrt" if is_wanted(verdict, config.models) else "onnxruntime")
    if verdict is not None:
        return EngineState("refused", verdict.problem or "", verdict)
    if cache.has(key):
        try:
            cache.load(key)
        except ModelError as error:
            return EngineState("refused", str(error))
        return EngineState("stale", f"not compared with the CPU yet; {BUILD}")
    if is_there:
        return EngineState("stale", f"of another TensorRT, GPU, model or config; {BUILD}")
    return EngineState("none")
