"""The daemon on a machine with a (doubled) GPU, for tests: what it says of its models, and what it must not leave behind."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.daemon import Daemon
from support.gpu_environment import gpu_environment
from support.mosquitto import until

PATIENCE_S = 1200.0
"""Three children, one after the other, that import, build, compare and measure, on a machine that has more to do."""

ON_THE_CPU, ON_THE_GPU = (
    {"detector": "onnxruntime", "rescorer": "onnxruntime", "mask": "onnxruntime"},
    {"detector": "tensorrt", "rescorer": "tensorrt", "mask": "tensorrt"},
)


class GpuDaemon(Daemon):
    """A daemon on a machine with a GPU, and the diary of what the GPU did in which process."""

    def __init__(self, folder: Path, cameras, *, models: str = "", port: int | None = None, **gpu) -> None:
        self.diary = folder / "diary"
        super().__init__(folder, cameras, port=port)
        self.set_gpu(**gpu)
        self.set_models(models)

    def set_gpu(self, **gpu) -> None:
        """What the GPU does from the next start on."""
        self._environment |= gpu_environment(diary=self.diary, **gpu)

    def set_models(self, models: str) -> None:
        self.config.write_text(self.config.read_text().replace("threads = 1", f"threads = 1\n{models}"))

    def moments(self, moment: str) -> list[int]:
        """The processes in which it came."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [int(line.split()[1]) for line in lines if line.split()[0] == moment]

    def runs_on(self, models: dict[str, str], timeout_s: float = PATIENCE_S) -> bool:
        return until(lambda: self.status().get("models") == models, timeout_s)

    def preparing(self, *models: str) -> str | None:
        """The step that the engine of one of `models` is at; None when none of them is prepared now."""
        preparing = self.status().get("preparing")
        if not preparing or preparing["model"] not in models:
            return None
        assert preparing.keys() == {"model", "step", "percent"}
        return preparing["step"]

    def tells(self, problem: str, timeout_s: float = PATIENCE_S) -> bool:
        return until(lambda: any(problem in error for error in self.status().get("errors", ())), timeout_s)

    def analyses(self) -> bool:
        """Whether pictures are still being analysed, without a fault."""
        before = self.status()["cameras"]["door"]["frames_analysed"]
        goes_on = until(lambda: self.status()["cameras"]["door"]["frames_analysed"] > before + 3)
        return goes_on and self.status()["cameras"]["door"]["frames_faulty"] == 0

    def edged(self, *arguments: str) -> str:
        """What this command says, on the daemon's machine and config."""
        command = [sys.executable, "-m", "edged", *arguments, "--config", str(self.config)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, folder: Path) -> Path:
        """Have all engines built by hand, and copy them there."""
        self.edged("engines", "build")
        return shutil.copytree(self.database.parent / "engines", folder)

    def give(self, built: Path) -> None:
        """Let these engines be its own."""
        shutil.copytree(built, self.database.parent / "engines")


@contextmanager
def ended_in_the_end() -> Iterator[list[Daemon]]:
    """Those that are put into the list."""
    made: list[Daemon] = []
    yield made
    for daemon in made:
        daemon.__exit__(None, None, None)


def alive(process: int) -> bool:
    """Whether it runs: one that waits to be buried does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_tidy(daemon: GpuDaemon) -> bool:
    """No traceback, and nothing half-written."""
    left = [path.name for path in (daemon.database.parent / "engines").glob("*.partial*")]
    return "Traceback" not in daemon.log and not left
