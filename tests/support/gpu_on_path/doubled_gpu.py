"""The GPU of this process, as `GPU_DOUBLE` in its environment says; see tests/support/gpu_environment.py."""

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from tests.support.cuda_double import Machine, cuda_double
from tests.support.tensorrt_double import tensorrt_double

SETTINGS = json.loads(os.environ["GPU_DOUBLE"])

MACHINE = Machine(**SETTINGS["machine"])
TRT = tensorrt_double(MACHINE, SETTINGS["version"])
CUDA = cuda_double(MACHINE)

_counted: Counter[str] = Counter()


def at(moment: str) -> None:
    """Let happen what is to happen at this moment, and note that it has come."""
    if SETTINGS["diary"]:
        with Path(SETTINGS["diary"]).open("a") as diary:
            diary.write(f"{moment} {os.getpid()}\n")
    fault, _, amount = SETTINGS["faults"].get(moment, "").partition(" ")
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif fault == "hang":
        time.sleep(3600)
    elif fault == "slow":
        time.sleep(float(amount))
    elif fault == "until":
        while not Path(amount).exists():
            time.sleep(0.05)
    elif fault == "refuse":
        _counted[moment] += 1
        what, after = amount.split()
        if _counted[moment] > int(after):
            MACHINE.refuse[what] = f"{what} was made to fail"
    elif fault == "gorge":
        held = bytearray(int(amount) * 1_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(3600)


def _first(moment: str, kind: type, name: str) -> None:
    """Have `moment` come before the method of that name does its work."""
    does = getattr(kind, name)

    def method(self, *arguments):
        at(moment)
        return does(self, *arguments)

    setattr(kind, name, method)


_first("build", TRT.Builder, "build_serialized_network")
_first("load", TRT.Runtime, "deserialize_cuda_engine")
_first("run", TRT.IExecutionContext, "execute_async_v3")


def _answers(how: str) -> None:
    """Let engines answer "at once" what they have answered before, or "wrong"."""
    compute = TRT.IExecutionContext._compute

    def known(self, inputs):
        answers = self._engine.__dict__.setdefault("_answers", {})
        key = b"".join(value.tobytes() + str(value.shape).encode() for value in inputs.values())
        if key not in answers:
            answers[key] = compute(self, inputs)
        return answers[key]

    def wrong(self, inputs):
        return {name: answer + 0.5 for name, answer in compute(self, inputs).items()}

    TRT.IExecutionContext._compute = wrong if how == "wrong" else known


if SETTINGS["answers"]:
    _answers(SETTINGS["answers"])
