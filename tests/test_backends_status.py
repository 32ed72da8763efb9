"""What is known of an engine: kept beside its plan, of that very plan and release only, and never half-believed."""

from dataclasses import replace
from pathlib import Path

import pytest

from edged.backends.status import (
    BuildResult,
    EngineStatus,
    build_options,
    count_attempt,
    engine_status,
    engines_folder,
    existing_cache,
    failed,
    store_result,
)
from edged.config import Config, ModelsConfig
from edged.errors import ModelError
from edged.inference import default_engines_dir, load_manifest
from edged.inference.tensorrt import EngineCache, EngineKey, Gpu

MANIFEST = load_manifest(default_engines_dir())
KEY = EngineKey("mask", "a" * 64, "fp16", "{}", (), "10.3.0", Gpu("Orin", "8.7", "36.4.0"))
GOOD = BuildResult("mask", agrees=True, problem=None, gpu_ms=1.25, cpu_ms=3.5)


def known(cache: EngineCache, key: EngineKey) -> BuildResult | None:
    return engine_status(cache, key, ModelsConfig()).result


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "engines")


def test_a_result_is_found_again_with_its_plan(cache):
    assert known(cache, KEY) is None
    cache.store(KEY, b"plan")
    store_result(cache, KEY, GOOD)
    assert known(EngineCache(cache.directory), KEY) == GOOD
    assert known(cache, replace(KEY, tensorrt="10.7.0")) is None


def test_without_its_very_plan_it_is_worth_nothing(cache):
    path = cache.store(KEY, b"plan")
    store_result(cache, KEY, GOOD)
    path.write_bytes(b"plam")
    assert known(cache, KEY) is None
    cache.store(KEY, b"another plan")
    assert known(cache, KEY) is None
    cache.store(KEY, b"plan")
    assert known(cache, KEY) == GOOD
    cache.discard(KEY)
    assert known(cache, KEY) is None


def test_of_a_failed_engine_the_result_stays_and_the_plan_goes(cache):
    cache.store(KEY, b"plan")
    store_result(cache, KEY, failed("mask", "model mask: differs"))
    assert not cache.has(KEY)
    assert known(cache, KEY) == failed("mask", "model mask: differs")
    cache.forget(KEY)
    assert known(cache, KEY) is None
    assert list(cache.directory.iterdir()) == []


def test_of_another_release_it_does_not_count(cache):
    """Its golden pictures, or how far answers may differ, may be others."""
    store_result(cache, KEY, failed("mask", "model mask: differs"))
    content = cache.result(KEY)
    cache.store_result(KEY, content.replace(b'"edged":"', b'"edged":"9.'))
    assert known(cache, KEY) is None


def test_every_flipped_bit_makes_it_unknown(cache):
    cache.store(KEY, b"plan")
    store_result(cache, KEY, GOOD)
    path = cache.directory / f"{KEY.stem}.result"
    content = path.read_bytes()
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert known(cache, KEY) is None
    for size in (0, 31, 32, len(content) - 1):
        path.write_bytes(content[:size])
        assert known(cache, KEY) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"key": 1}', b"\xff\xfe", b'{"key": "x", "result": {}}'])
def test_what_is_no_result_is_none(cache, content):
    cache.store_result(KEY, content)
    assert known(cache, KEY) is None


def test_an_engine_whose_build_crashes_twice_is_given_up(cache):
    count_attempt(cache, KEY, "model mask: no engine, it crashed")
    assert known(cache, KEY) is None
    count_attempt(cache, KEY, "model mask: no engine, it crashed again")
    assert known(cache, KEY) == failed("mask", "model mask: no engine, it crashed again")


def test_one_function_says_whether_an_engine_may_be_used(cache):
    assert engine_status(cache, KEY, ModelsConfig()).state == "none"
    path = cache.store(KEY, b"plan")
    assert engine_status(cache, KEY, ModelsConfig()).state == "stale", "not compared with the CPU yet"
    store_result(cache, KEY, GOOD)
    built = engine_status(cache, KEY, ModelsConfig())
    assert (built.state, built.runs_on, built.record()["verdict"]["gpu_ms"]) == ("built", "tensorrt", 1.25)
    assert engine_status(cache, KEY, ModelsConfig(backend="onnxruntime")).runs_on == "onnxruntime"
    assert engine_status(cache, replace(KEY, tensorrt="10.7.0"), ModelsConfig()).state == "stale"
    path.write_bytes(b"plam")
    altered = engine_status(cache, KEY, ModelsConfig())
    assert (altered.state, altered.result, "is not the engine that was built here" in altered.why) == (
        "refused",
        None,
        True,
    )
    store_result(cache, KEY, failed("mask", "differs"))
    assert engine_status(cache, KEY, ModelsConfig()) == EngineStatus("refused", "differs", failed("mask", "differs"))


def test_pruning_keeps_what_is_known_of_current_engines_only(cache):
    old = replace(KEY, tensorrt="8.6.1")
    for key in (KEY, old):
        store_result(cache, key, failed("mask", "no"))
    assert cache.prune([KEY]) == [f"{old.stem}.result"]
    assert known(cache, KEY) == failed("mask", "no")


@pytest.mark.parametrize(
    ("result", "backend", "serves"),
    [
        (GOOD, "auto", True),
        (replace(GOOD, gpu_ms=3.5), "auto", False),
        (replace(GOOD, gpu_ms=9.0), "auto", False),
        (replace(GOOD, gpu_ms=9.0), "tensorrt", True),
        (GOOD, "onnxruntime", False),
        (replace(GOOD, agrees=False), "auto", False),
        (replace(GOOD, agrees=False), "tensorrt", False),
        (failed("mask", "no"), "tensorrt", False),
    ],
)
def test_auto_takes_the_faster_one_and_no_setting_takes_one_that_disagrees(result, backend, serves):
    assert result.serves(ModelsConfig(backend=backend)) == serves


def test_engines_lie_beside_the_database_in_a_folder_that_only_a_build_makes(tmp_path):
    config = Config.model_validate({"store": {"path": tmp_path / "edged.db"}})
    assert engines_folder(config) == tmp_path / "engines"
    assert existing_cache(config) is None
    EngineCache(tmp_path / "engines")
    assert existing_cache(config).directory == tmp_path / "engines"
    (tmp_path / "engines").chmod(0o755)
    with pytest.raises(ModelError, match="nobody else can enter"):
        existing_cache(config)


def test_a_folder_that_cannot_be_entered_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    config = Config.model_validate({"store": {"path": Path(tmp_path / "file" / "edged.db")}})
    with pytest.raises(ModelError, match="cannot be entered"):
        existing_cache(config)


def test_what_loses_accuracy_in_half_precision_is_built_in_full_on_the_gpu():
    models = ModelsConfig(dla_core=1)
    mask, retinaface = (build_options(MANIFEST.entry(name), models) for name in ("mask", "retinaface"))
    assert (mask.precision, mask.accelerator) == ("fp16", 1)
    assert (retinaface.precision, retinaface.accelerator) == ("fp32", None)
