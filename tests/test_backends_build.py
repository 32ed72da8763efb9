"""A preparation in a process of its own may crash, hang, gorge or be killed at any moment: one line, and nothing is left."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.mosquitto import until

from edged.backends import BuildProgress
from edged.backends import build_parent as parent
from edged.backends.build_parent import EngineBuild
from edged.backends.status import BuildResult
from edged.config import ModelsConfig
from edged.inference.tensorrt import EngineCache
from tests.support.gpu_environment import gpu_environment

MODELS = ModelsConfig(threads=1)
LONGEST_S = 300.0
"""For a machine that is busy with other things."""


def children() -> set[int]:
    found = Path("/proc/self/task").glob("*/children")
    return {int(number) for path in found for number in path.read_text().split()}


class Place:
    """A folder for engines, and the GPU that processes find."""

    def __init__(self, folder: Path, monkeypatch) -> None:
        self.folder, self.diary, self._patch = folder / "engines", folder / "diary", monkeypatch
        self.started: list[EngineBuild] = []
        self.gpu()

    def gpu(self, **settings) -> None:
        """From now on."""
        for name, value in gpu_environment(diary=self.diary, **settings).items():
            self._patch.setenv(name, value)

    def start(self, **options) -> EngineBuild:
        self.started.append(EngineBuild("eyes", MODELS, self.folder, **options))
        return self.started[-1]

    def prepare(self, **options) -> BuildResult:
        return end_of(self.start(**options))

    def times(self, moment: str) -> int:
        """How often it has come to that, in whatever process."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return sum(line.startswith(f"{moment} ") for line in lines)

    def kinds(self) -> list[str]:
        return sorted(path.suffix or path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def place(tmp_path, monkeypatch):
    before, descriptors = children(), set(Path("/proc/self/fd").iterdir())
    made = Place(tmp_path, monkeypatch)
    yield made
    for preparation in made.started:
        preparation.stop()
    made.started.clear()
    assert until(lambda: children() == before, LONGEST_S)
    assert until(lambda: set(Path("/proc/self/fd").iterdir()) <= descriptors)
    assert not [kind for kind in made.kinds() if "partial" in kind]


def end_of(preparation: EngineBuild) -> BuildResult:
    start = time.monotonic()
    while not isinstance(news := preparation.poll(), BuildResult):
        assert time.monotonic() - start < LONGEST_S, news
        time.sleep(0.02)
    assert preparation.poll() == news
    assert "\n" not in (news.problem or "")
    return news


def test_a_verdict_comes_out_of_the_process(place):
    verdict = place.prepare()
    assert verdict.agrees
    assert place.kinds() == [".cache", ".json", ".plan", ".result"]
    assert place.prepare() == verdict
    assert place.times("build") == 1


def test_everything_else_goes_first(place):
    place.gpu(stands_back=True)
    before = children()
    place.start()
    (number,) = children() - before
    process = Path(f"/proc/{number}")
    assert until(lambda: process.joinpath("oom_score_adj").read_text().strip() == "1000", LONGEST_S)
    assert int(process.joinpath("stat").read_text().rpartition(") ")[2].split()[16]) == 19
    if shutil.which("ionice"):
        told = subprocess.run(["ionice", "-p", str(number)], capture_output=True, text=True, check=True).stdout
        assert told.strip() == "idle"


@pytest.mark.parametrize(
    ("moment", "doing"),
    [("build", "building the engine"), ("load", "loading the engine"), ("run", "comparing the engine")],
)
def test_a_crash_is_told_with_what_was_being_done(place, moment, doing):
    place.gpu(faults={moment: "crash"})
    problem = place.prepare().problem
    assert problem.startswith(f"model eyes: no engine, its process crashed while {doing}")
    assert "(SIGSEGV)" in problem
    assert problem.endswith("; the CPU goes on, `edged engines build --force` tries again")


def test_a_crash_is_tried_twice_and_no_more_until_somebody_wants_it(place):
    place.gpu(faults={"build": "crash"})
    verdicts = [place.prepare() for _ in range(3)]
    assert place.times("build") == 2
    assert verdicts[1] == verdicts[2]
    assert not verdicts[2].agrees
    place.gpu()
    assert place.prepare() == verdicts[2]
    assert place.prepare(force=True).agrees


def test_libraries_that_crash_when_they_are_loaded_are_one_line(place):
    place.gpu(faults={"import": "crash"})
    assert "crashed while looking for TensorRT (SIGSEGV)" in place.prepare().problem
    place.gpu()
    assert place.prepare().agrees


def test_too_much_memory_is_the_end_and_after_two_tries_for_good(place):
    place.gpu(faults={"build": "gorge 900"})
    for _ in range(2):
        assert "took more than 700 MB of memory while building the engine" in place.prepare(memory_limit_mb=700).problem
    place.gpu()
    assert "more than 700 MB" in place.prepare().problem
    assert place.times("build") == 2


def test_what_hangs_is_ended_when_patience_is(place):
    place.gpu(faults={"import": "hang"})
    assert "took longer than 0.5 s, and was still " in place.prepare(timeout_s=0.5).problem
    place.gpu()
    assert place.prepare().agrees


def test_stopped_in_the_middle_nothing_is_left_or_remembered(place):
    place.gpu(faults={"build": "slow 3600"})
    for _ in range(2):
        before, builds = children(), place.times("build")
        preparation = place.start()
        assert until(lambda builds=builds: place.times("build") > builds, LONGEST_S)
        (place.folder / ".partial-of-this-build").write_bytes(b"half")
        preparation.stop()
        preparation.stop()
        assert children() == before
        assert place.kinds() == []
        assert "was stopped" in preparation.poll().problem
    place.gpu()
    assert place.prepare().agrees


def test_a_folder_that_goes_while_an_engine_is_built_is_no_end_of_the_daemon(place, caplog):
    place.gpu(faults={"build": "slow 30"})
    build = place.start()
    assert until(lambda: place.times("build") == 1, LONGEST_S)
    shutil.rmtree(place.folder)
    build.stop()
    assert isinstance(build.poll(), BuildResult)
    assert "cannot be written (No such file or directory)" in caplog.text


def test_a_second_one_waits_for_the_first(place, tmp_path):
    place.gpu(faults={"build": f"until {tmp_path / 'goes on'}"})
    first = place.start()
    assert until(lambda: place.times("build") == 1, LONGEST_S)
    second = place.start()
    told = []
    assert until(lambda: told.append(second.poll()) or isinstance(told[-1], BuildProgress), LONGEST_S)
    assert told[-1] == BuildProgress("eyes", "waiting for another build", 0.0)
    (tmp_path / "goes on").touch()
    assert end_of(first) == end_of(second)
    assert place.times("build") == 1


def killed_at_random(place: Place, kills: int) -> None:
    start = time.monotonic()
    assert place.prepare().agrees
    lasts_s = time.monotonic() - start
    chance = random.Random(0)
    for _ in range(kills):
        before = children()
        preparation = place.start(force=True)
        (number,) = children() - before
        time.sleep(chance.uniform(0, lasts_s))
        os.kill(number, signal.SIGKILL)
        verdict = end_of(preparation)
        assert verdict.agrees or "was killed" in verdict.problem
        cache = EngineCache(place.folder)
        assert cache.altered() == []
        assert set(place.kinds()) <= {".cache", ".json", ".plan", ".result"}
    assert place.prepare(force=True).agrees
    assert place.kinds() == [".cache", ".json", ".plan", ".result"]


def test_killed_at_any_moment_it_leaves_nothing_and_the_next_start_is_clean(place):
    killed_at_random(place, 5)


@pytest.mark.long
def test_killed_at_any_of_many_moments_it_leaves_nothing(place):
    killed_at_random(place, 40)


def test_when_its_parent_is_killed_it_goes_too(place):
    place.gpu(faults={"build": "slow 3600"})
    code = """
        import sys, time
        from pathlib import Path
        from edged.backends.build_parent import EngineBuild
        from edged.config import ModelsConfig
        preparation = EngineBuild("eyes", ModelsConfig(threads=1), Path(sys.argv[1]))
        while True:
            preparation.poll()
            time.sleep(0.05)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(place.folder)])
    assert until(lambda: place.times("build") == 1, LONGEST_S)
    number = int(place.diary.read_text().split()[-1])
    parent.kill()
    parent.wait()
    assert until(lambda: not Path(f"/proc/{number}").exists(), LONGEST_S)
    place.gpu()
    assert place.prepare().agrees


def test_a_disk_that_fills_up_while_the_plan_is_written_is_one_line(place):
    """The kernel refuses to write more, as it does on a full disk."""
    place.gpu(faults={"import": "slow 1"})
    before = children()
    preparation = place.start()
    (number,) = children() - before
    resource.prlimit(number, resource.RLIMIT_FSIZE, (20_000, 20_000))
    assert "cannot be written (File too large); make room" in end_of(preparation).problem
    assert place.kinds() == []
    assert place.prepare().agrees


@pytest.mark.parametrize("said", ["b'nonsense'", "b'{\"result\": 1}'", "b'\\xff' * 9000"])
def test_a_process_that_sends_what_cannot_be_read_is_ended(place, monkeypatch, said):
    speak = f"import socket, sys, time; s = socket.socket(fileno=int(sys.argv[2])); s.send({said}); time.sleep(3600)"
    monkeypatch.setattr(parent, "CHILD", (sys.executable, "-c", speak))
    assert "sent a message that cannot be read" in place.prepare().problem


class Endless:
    """The parent's end of a socket whose other end talks faster than anybody can listen."""

    def recv(self, size: int, flags: int) -> bytes:
        return b'{"progress": {"model": "eyes", "step": "talking", "part": 0.5}}'

    def sendmsg(self, buffers: list[bytes], *_: object) -> int:
        """Nobody listens there."""
        return sum(map(len, buffers))

    def close(self) -> None:
        """Nothing is open."""


def test_a_process_that_never_stops_talking_does_not_hold_its_parent_up(place, monkeypatch):
    with Path("/dev/null").open() as file, monkeypatch.context() as patch:
        patch.setattr(parent, "CHILD", (sys.executable, "-c", "import time; time.sleep(3600)"))
        patch.setattr("socket.socketpair", lambda *_: (Endless(), file))
        preparation = place.start()
        assert preparation.poll() == preparation.poll() == BuildProgress("eyes", "talking", 0.5)
        preparation.stop()


def test_a_process_that_just_ends_is_told_with_its_last_words(place, monkeypatch):
    monkeypatch.setattr(parent, "CHILD", (sys.executable, "-c", "import sys; sys.exit('libcudart.so.12: not found')"))
    assert "crashed while starting (exit code 1, libcudart.so.12: not found)" in place.prepare().problem


def test_a_program_that_cannot_be_started_is_one_line(place, monkeypatch):
    monkeypatch.setattr(parent, "CHILD", ("/no/such/program",))
    assert "no process can be started" in place.prepare().problem


def test_a_folder_that_is_not_ours_starts_no_process(place):
    place.folder.mkdir(mode=0o755)
    before = children()
    assert "nobody else can enter" in place.prepare().problem
    assert children() == before
