"""ONNX Runtime behind the `Engine` contract, on the CPU unless configured otherwise; the only module that imports onnxruntime."""

import logging
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edged.errors import ConfigError, ModelError
from edged.host.device import usable_processors
from edged.inference.manifest import Manifest
from edged.ports import Arrays

log = logging.getLogger(__name__)

NO_FOLDER = "/nonexistent/edged"
DATA_OUTSIDE = re.compile(rb"\n(\x08|\x88\x80*\x00)location")
"""The key that names a tensor's file, with its tag and length, as protobuf writes it in a tensor's `external_data`."""
CPU = "CPUExecutionProvider"

ort.set_default_logger_severity(3)  # warnings about unused initialisers are not for our users


def _share_arena() -> None:
    """Make the arena that all models share; it grows by what is asked for, where the usual one doubles."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    as_requested = {"arena_extend_strategy": 1}
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(as_requested))


_share_arena()


class OnnxEngine:
    """One ONNX model."""

    backend = "onnxruntime"

    def __init__(self, name: str, model: bytes, threads: int = 0, providers: Sequence[str] = ()) -> None:
        """Parse `model` (already verified). `threads` 0 means one for each processor that this process may use.

        `providers` are ONNX Runtime's execution providers to be tried before the CPU's, the best first; one that cannot be
        used here leaves the work to the CPU. Raise ModelError if the model cannot be run, ConfigError for a provider that
        this ONNX Runtime does not know.
        """
        _require_known(providers)
        if DATA_OUTSIDE.search(model):
            raise ModelError(f"model {name}: has a tensor that lies outside the file; save the model as a single file")
        self.name = name
        options = ort.SessionOptions()
        # Never 0: ONNX Runtime would then pin a thread to each core of the machine, and print an error in red for each core
        # that a CPU set keeps from us.
        options.intra_op_num_threads = threads or usable_processors()
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # The arena keeps its peak, which the working size bounds, and saves an eighth of the time of a frame: without it
        # the C library gives the same memory back, and takes it again, in every run. All models share one: they run one after
        # another, and what one has done with the next takes.
        options.enable_cpu_mem_arena = True
        options.add_session_config_entry("session.use_env_allocators", "1")
        # Or one plan of memory would be kept for each shape of input that ever came, and the detector gets many.
        options.enable_mem_pattern = False
        # Spinning workers burn a core between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A model is one file. One that names others would have them read from the working directory; ONNX Runtime 1.23, the
        # last for Python 3.10, even from anywhere, so such a model has been refused above, too.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
        self._session = self._on_providers(model, options, providers) or self._on_cpu(model, options)
        self._outputs = [output.name for output in self._session.get_outputs()]

    @property
    def providers(self) -> tuple[str, ...]:
        """What ONNX Runtime really uses, the CPU's last."""
        return tuple(self._session.get_providers())

    def _on_cpu(self, model: bytes, options: Any) -> Any:
        try:
            return ort.InferenceSession(model, options, providers=[CPU])
        except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen unrelated classes
            raise ModelError(
                f"model {self.name}: ONNX Runtime {ort.__version__} cannot load it ({_one_line(error)}); `edged"
                " selftest` says whether its file is whole, else reinstall edged"
            ) from None

    def _on_providers(self, model: bytes, options: Any, providers: Sequence[str]) -> Any | None:
        """A session that uses at least one of `providers`; None, with one line in the log, where none can be used."""
        if not providers:
            return None
        try:
            # ONNX Runtime's own way of falling back prints on stdout.
            session = ort.InferenceSession(model, options, providers=[*providers, CPU], enable_fallback=0)
        except Exception as error:  # noqa: BLE001
            log.warning("model %s: %s cannot run it, the CPU does (%s)", self.name, list(providers), _one_line(error))
            return None
        left_out = [provider for provider in providers if provider not in session.get_providers()]
        if left_out:
            log.warning("model %s: %s cannot be used here, %s runs it", self.name, left_out, session.get_providers()[0])
        return session

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run once; see `Engine`."""
        try:
            values = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # noqa: BLE001
            raise ModelError(f"model {self.name}: the run failed ({_one_line(error)})") from None
        return dict(zip(self._outputs, (np.asarray(value) for value in values), strict=True))


def open_engine(manifest: Manifest, name: str, threads: int = 0, providers: Sequence[str] = ()) -> OnnxEngine:
    """Verify and load the model called `name`; see `OnnxEngine`."""
    return OnnxEngine(name, manifest.verified_bytes(name), threads, providers)


def _require_known(providers: Sequence[str]) -> None:
    known = ort.get_available_providers()
    unknown = [provider for provider in providers if provider not in known]
    if unknown:
        raise ConfigError(
            f"key models.providers: {unknown[0]} is not in this ONNX Runtime {ort.__version__}, which has {', '.join(known)}; "
            "install the build of onnxruntime that has it, or take it out"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
