"""`edged engines`, by running it: what is there, what is built, what is measured; without TensorRT, and with its double."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.gpu_engines import untrained
from tests.support.gpu_environment import gpu_environment

ROOT = Path(__file__).parent.parent

without_tensorrt = pytest.mark.skipif(find_spec("tensorrt") is not None, reason="this machine has TensorRT")


class Device:
    """A config with a folder of its own, and the GPU that its processes find."""

    def __init__(self, folder: Path) -> None:
        self.state, self.environment = folder / "state", {}
        self.config = folder / "edged.toml"
        self.write("")

    def write(self, models: str) -> None:
        self.config.write_text(f'[store]\npath = "{self.state}/edged.db"\n[models]\nthreads = 1\n{models}\n')

    def gpu(self, **settings) -> None:
        self.environment = gpu_environment(**settings)

    def engines(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "edged", "engines", verb, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, **self.environment},
        )
        assert "Traceback" not in done.stderr
        return done

    def listed(self, name: str) -> dict:
        entries = map(json.loads, self.engines("list", "--json").stdout.splitlines())
        return next(entry for entry in entries if entry["name"] == name)

    @property
    def files(self) -> list[Path]:
        return sorted((self.state / "engines").iterdir())


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


@without_tensorrt
@pytest.mark.parametrize("arguments", [(), ("mask",), ("--backend", "tensorrt"), ("--force",)])
def test_without_tensorrt_a_build_says_what_is_missing_and_exits_69(device, arguments):
    done = device.engines("build", *arguments)
    assert done.returncode == 69
    assert done.stderr.startswith("edged: tensorrt: not installed; on a Jetson: `sudo apt install python3-libnvinfer`")
    assert len(done.stderr.splitlines()) == 1
    assert not device.state.exists()


@without_tensorrt
def test_without_tensorrt_every_model_runs_on_the_cpu_and_looking_makes_no_folder(device):
    done = device.engines("list")
    assert done.returncode == 0
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["MODEL", "TASK", "FILE", "RUNS", "ON", "ENGINE", "STATE", "OF", "THE", "FILE"]
    assert ["mask", "mask-state", "mask.onnx", "onnxruntime", "none", "ok"] in [row.split() for row in rows]
    assert {row.index("face-detection") for row in rows if "face-detection" in row} == {head.index("TASK")}
    assert "cannot be read" not in done.stdout
    assert device.engines("verify").returncode == 0
    assert not device.state.exists()


@without_tensorrt
def test_without_tensorrt_bench_measures_the_cpu_and_says_what_is_missing(device):
    found = json.loads(device.engines("bench", "eyes", "mask", "--json").stdout)
    assert list(found["models"]) == ["eyes", "mask"]
    for model in found["models"].values():
        assert model["auto"] == "onnxruntime"
        assert list(model["backends"]) == ["onnxruntime"]
        assert model["backends"]["onnxruntime"]["median_ms"] >= model["backends"]["onnxruntime"]["fastest_ms"] > 0
    assert found["tensorrt"].startswith("tensorrt: not installed")
    table = device.engines("bench", "eyes").stdout
    assert table.splitlines()[0].split() == ["a", "run", "onnxruntime", "auto", "takes"]
    assert "tensorrt: not installed" in table


@pytest.mark.parametrize("verb", ["build", "bench"])
def test_a_model_that_the_manifest_does_not_list_is_one_line(device, verb):
    done = device.engines(verb, "masks")
    assert done.returncode == 69
    assert "no model 'masks'; it lists: detector, eyes" in done.stderr


def test_an_engine_is_built_listed_measured_verified_and_refused_when_altered(device):
    device.gpu()
    done = device.engines("build", "mask")
    assert (done.returncode, done.stderr) == (0, "")
    said = re.fullmatch(
        r"mask             agrees with the CPU; ([\d.]+) ms a run, ([\d.]+) ms on the CPU: models.backend = 'auto' takes (\w+)\n",
        done.stdout,
    )
    assert said is not None, done.stdout
    faster = "tensorrt" if float(said[1]) < float(said[2]) else "onnxruntime"
    assert said[3] == faster, "which one it is depends on what else this machine does"
    listed = device.listed("mask")
    assert listed["file_state"] == "ok"
    assert (listed["engine"]["state"], listed["engine"]["runs_on"]) == ("built", faster)
    assert device.listed("eyes")["engine"]["state"] == "none"
    assert "1 engines, all as they were built" in device.engines("verify").stdout

    found = json.loads(device.engines("bench", "mask", "eyes", "--json").stdout)
    assert found["tensorrt"] is None
    timing, on_the_cpu = (found["models"]["mask"]["backends"][backend] for backend in ("tensorrt", "onnxruntime"))
    faster = "tensorrt" if timing["fastest_ms"] < on_the_cpu["fastest_ms"] else "onnxruntime"
    assert found["models"]["mask"]["auto"] == device.listed("mask")["engine"]["runs_on"] == faster
    assert device.listed("mask")["engine"]["verdict"]["gpu_ms"] == timing["fastest_ms"]
    assert "no engine was built" in found["models"]["eyes"]["backends"]["tensorrt"]["problem"]

    device.gpu(version="10.13.3.9")
    stale = device.listed("mask")["engine"]
    assert (stale["state"], stale["runs_on"]) == ("stale", "onnxruntime")
    assert "of another TensorRT, GPU, model or config; run `edged engines build`" in stale["why"]

    device.gpu()
    plan = next(file for file in device.files if file.suffix == ".plan")
    plan.write_bytes(plan.read_bytes()[:-1])
    done = device.engines("verify")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{plan}: is not the engine that was built here; run `edged engines build`" in done.stderr
    assert device.listed("mask")["engine"]["state"] == "refused"
    assert device.engines("build", "mask").returncode == 0
    assert device.engines("verify").returncode == 0


def test_an_engine_that_differs_is_listed_as_refused_and_the_cpu_runs_it(device):
    device.gpu(answers="wrong")
    done = device.engines("build", "mask")
    assert done.returncode == 1
    assert "mask: tensorrt differs from onnxruntime in probabilities" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    listed = device.listed("mask")["engine"]
    assert (listed["state"], listed["runs_on"]) == ("refused", "onnxruntime")
    assert "differs from onnxruntime" in listed["why"]
    assert "mask: model mask: tensorrt differs" in device.engines("list").stdout


def test_one_that_crashes_is_told_and_can_be_built_when_it_does_not(device):
    device.write('backend = "onnxruntime"')
    device.gpu(faults={"load": "crash"})
    done = device.engines("build", "eyes")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "edged: model eyes: no engine, its process crashed while loading the engine (SIGSEGV)"
    )
    device.gpu()
    done = device.engines("build", "eyes")
    assert done.stdout.endswith("models.backend = 'onnxruntime' takes onnxruntime\n")


def test_somebody_who_looks_on_sees_how_far_it_is(device):
    device.gpu(faults={"build": "slow 1"})
    screen, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "edged", "engines", "build", "eyes", "--config", str(device.config)],
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        env={**os.environ, **device.environment, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(terminal)
    seen = b""
    while part := read(screen):
        seen += part
    os.close(screen)
    assert child.wait(60) == 0
    assert b"building the engine" in seen
    assert b"100%" in seen


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other end was closed
        return b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_engines_that_the_daemon_could_not_use_are_not_built(device):
    device.gpu()
    device.state.mkdir()
    os.chown(device.state, 65534, -1)
    done = device.engines("build", "mask")
    assert done.returncode == 1
    assert "is nobody's, and so must the engines be; run `sudo -u nobody edged engines build`" in done.stderr
    assert list(device.state.iterdir()) == []


def test_a_folder_that_others_can_enter_is_told_and_the_rest_is_listed(device):
    (device.state / "engines").mkdir(parents=True, mode=0o755)
    done = device.engines("list")
    assert done.returncode == 0
    assert " unknown " in done.stdout
    assert "nobody else can enter" in done.stdout
    assert device.engines("verify").returncode == 69


def test_an_installation_without_the_models_that_are_built_locally_is_healthy(device, tmp_path):
    """As pip installs it: no Makefile is there to be advised."""
    engines = tmp_path / "site-packages/edged/engines"
    shutil.copytree(ROOT / "engines", engines, ignore=shutil.ignore_patterns("mtcnn-*.onnx", "retinaface*.onnx"))
    untrained(engines)
    device.environment = {"EDGED_ENGINES": str(engines)}
    done = device.engines("verify")
    assert (done.returncode, done.stderr) == (0, "")
    trained = "landmarks-efficientnet, mask-mobilenet, mask-resnet50, mask-xception"
    assert f"not built: {trained}, mtcnn-onet, mtcnn-pnet, mtcnn-rnet, retinaface" in done.stdout
    device.write('detector = "mtcnn"')
    done = device.engines("verify")
    assert done.returncode == 1
    assert f"in a checkout of edged, run `make setup`; then copy the file into {engines}" in done.stderr
