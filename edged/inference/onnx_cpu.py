"""The CPU backend: ONNX Runtime behind the `Engine` contract; the only module that imports onnxruntime."""

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edged.errors import ModelError
from edged.inference.manifest import Manifest
from edged.ports import Arrays

NO_FOLDER = "/nonexistent/edged"

ort.set_default_logger_severity(3)  # warnings about unused initialisers are not for our users


class OnnxEngine:
    """One ONNX model on the CPU."""

    backend = "onnxruntime"

    def __init__(self, name: str, model: bytes, threads: int = 0) -> None:
        """Parse `model` (already verified). `threads` 0 means one per core. Raise ModelError if it cannot be run."""
        self.name = name
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # The arena keeps its peak, which the working size bounds, and saves an eighth of the time of a frame: without it
        # the C library gives the same memory back, and takes it again, in every run.
        options.enable_cpu_mem_arena = True
        # Spinning workers burn a core between frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A model is one file. One that names others would have them read from the working directory.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen unrelated classes
            raise ModelError(
                f"model {name}: ONNX Runtime {ort.__version__} cannot load it ({_one_line(error)})"
            ) from None
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run once; see `Engine`."""
        try:
            values = self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # noqa: BLE001
            raise ModelError(f"model {self.name}: the run failed ({_one_line(error)})") from None
        return dict(zip(self._outputs, (np.asarray(value) for value in values), strict=True))


def open_engine(manifest: Manifest, name: str, threads: int = 0) -> OnnxEngine:
    """Verify and load the model called `name`."""
    return OnnxEngine(name, manifest.verified_bytes(name), threads)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
