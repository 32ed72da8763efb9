"""One model on two engines: the CPU's always, and an accelerated one from when it is ready until it fails."""

import logging
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edged.errors import ModelError
from edged.ports import Arrays, Engine

log = logging.getLogger(__name__)


class SwitchingEngine:
    """Implements `edged.ports.Engine`: runs the accelerated engine while it has one, else the CPU's.

    `run` and `switch` belong to one thread, the analysis; everything else may be used from any.
    """

    def __init__(self, cpu: Engine) -> None:
        self.name = cpu.name
        self.has_run = False
        self.problem: str | None = None
        """Why the accelerated engine was given up, or None."""
        self._cpu = cpu
        self._accelerated: Engine | None = None
        self._offered: deque[Engine] = deque(maxlen=1)

    @property
    def backend(self) -> str:
        """What really runs it now."""
        return (self._accelerated or self._cpu).backend

    def offer(self, engine: Engine) -> None:
        """Have the next `switch` take up `engine`, whose outputs are known to agree with the CPU's."""
        self._offered.append(engine)

    def switch(self) -> None:
        """Take up what was offered. Call between two frames: within one frame a model runs on one engine only."""
        if self._offered and self.problem is None:
            self._accelerated = self._offered.pop()
            log.info("model %s now runs on %s", self.name, self._accelerated.backend)

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Run once; see `Engine`. An accelerated engine that fails where the CPU's does not is given up for good."""
        self.has_run = True
        engine = self._accelerated
        if engine is None:
            return self._cpu.run(inputs)
        try:
            output = engine.run(inputs)
            if strange := _not_finite(output):
                raise ModelError(
                    f"its output {strange} is not a number"
                )  # half precision overflows where FP32 does not
        except ModelError as error:
            output = self._cpu.run(inputs)  # raises too when the inputs are to blame
            if not _not_finite(output):
                self.give_up(str(error))
        return output

    def give_up(self, reason: str) -> None:
        """Be back on the CPU, for good; a second call does nothing."""
        self._offered.clear()
        if self.problem is None:
            self.problem = f"model {self.name} is back on {self._cpu.backend}: {reason}"
            log.error("%s", self.problem)
        self._accelerated = None


def _not_finite(output: Arrays) -> str | None:
    """The first output that holds what is no number, or None."""
    return next((name for name, array in output.items() if not np.isfinite(array).all()), None)
