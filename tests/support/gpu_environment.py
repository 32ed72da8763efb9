"""The environment in which `import tensorrt` and `import pycuda.driver` give the doubles, in processes that edged starts.

The product knows nothing of it: a folder that has packages of these names stands first on PYTHONPATH.
"""

import json
import os
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
ON_PATH = Path(__file__).with_name("gpu_on_path")

Moment = Literal["import", "build", "load", "run"]


def gpu_environment(
    version: str = "10.3.0",
    *,
    faults: dict[Moment, str] | None = None,
    answers: Literal["", "at once", "wrong"] = "at once",
    diary: Path | None = None,
    stands_back: bool = False,
    **machine: object,
) -> dict[str, str]:
    """What to add to the environment of a process that is to have a GPU.

    `faults` says what happens at a moment: "crash" (SIGSEGV), "hang", "slow SECONDS", "until FILE" (is there),
    "gorge MEGABYTES" (and hang),
    "refuse WHAT AFTER" (so many such moments pass, then the machine refuses).
    With `stands_back` preparations are of the lowest priority, as they are outside of tests.
    Engines that answer "at once" are faster than the CPU; with "" they compute, on the CPU. In the file `diary` each
    moment gets a line. `machine` are fields of `tests.support.cuda_double.Machine`, such as `refuse` and `memory`.
    """
    settings = {
        "version": version,
        "machine": machine,
        "faults": faults or {},
        "answers": answers,
        "diary": str(diary) if diary else "",
        "stands_back": stands_back,
    }
    path = [str(ON_PATH), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {"GPU_DOUBLE": json.dumps(settings), "PYTHONPATH": os.pathsep.join(filter(None, path))}
