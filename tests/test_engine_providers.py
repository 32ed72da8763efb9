"""ONNX Runtime's other execution providers: taken where they are, told where they are not, and never a reason to stop."""

import logging

import numpy as np
import onnxruntime as ort
import pytest

from edged.errors import ConfigError
from edged.inference import OnnxEngine, open_engine
from tests.support.small_models import faces, small_model, write_models

AZURE, CUDA, CPU = "AzureExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
"""The first is in every build for Linux and needs nothing; the second is in none for the CPU."""


def answer(engine):
    return engine.run(faces(2))["probabilities"]


def test_a_provider_that_is_there_comes_before_the_cpu(tmp_path):
    if AZURE not in ort.get_available_providers():
        pytest.skip("this onnxruntime has no other provider than the CPU's")
    manifest = write_models(tmp_path, small=small_model())
    engine = open_engine(manifest, "small", 1, [AZURE])
    assert (engine.providers, engine.backend) == ((AZURE, CPU), "onnxruntime")
    np.testing.assert_allclose(answer(engine), answer(open_engine(manifest, "small", 1)), atol=1e-6)


def test_without_any_the_cpu_runs_it():
    assert OnnxEngine("small", small_model(), 1).providers == (CPU,)


@pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this onnxruntime has CUDA")
def test_a_provider_that_this_onnxruntime_lacks_is_a_mistake_in_the_config():
    with pytest.raises(ConfigError, match=r"key models.providers: CUDAExecutionProvider is not in this") as caught:
        OnnxEngine("small", small_model(), 1, [CUDA])
    assert "install the build of onnxruntime" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def with_cuda(monkeypatch):
    """An ONNX Runtime that says it has CUDA's provider; `fails` says whether a session with it is refused or goes without."""

    def install(fails: bool):
        known, session = ort.get_available_providers(), ort.InferenceSession

        def open_session(model, options, providers, **more):
            if CUDA in providers and fails:
                assert more == {"enable_fallback": 0}  # the other way it prints on stdout
                raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\n; GPU=-1")
            return session(model, options, providers=[provider for provider in providers if provider != CUDA])

        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, *known])
        monkeypatch.setattr(ort, "InferenceSession", open_session)

    return install


@pytest.mark.parametrize(("fails", "said"), [(True, "no CUDA-capable device"), (False, "cannot be used here")])
def test_a_provider_that_fails_leaves_the_work_to_the_cpu_with_one_line(with_cuda, caplog, capfd, fails, said):
    with_cuda(fails)
    with caplog.at_level(logging.WARNING):
        engine = OnnxEngine("small", small_model(), 1, [CUDA])
    assert engine.providers == (CPU,)
    np.testing.assert_allclose(answer(engine), answer(OnnxEngine("small", small_model(), 1)), atol=1e-6)
    assert len(caplog.messages) == 1
    assert said in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    assert capfd.readouterr().out == ""
