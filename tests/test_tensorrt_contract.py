"""Holds the TensorRT backend, and the doubles that test it, against the real bindings and PyCUDA's real sources.

The bindings are wheels of a megabyte that import without a GPU once the libraries behind them are replaced by stubs.
`make contract-wheels` fetches them.
"""

import ast
import ctypes
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from enum import IntEnum
from pathlib import Path

import pytest

from tests.support import cuda_double, tensorrt_double
from tests.support.contract_wheels import BINDINGS, FOLDER, wheel_of

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "edged" / "inference" / "tensorrt").glob("*.py"))


def module(version: str):
    return tensorrt_double.tensorrt_double(cuda_double.Machine(), version)


def public(kind) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def surface(version: str) -> dict:
    """Everything the double of `version` offers, so that the real one can be asked whether it does too."""
    found = {}
    trt = module(version)
    for name in public(trt):
        thing = getattr(trt, name)
        if isinstance(thing, type) and issubclass(thing, IntEnum):
            found[name] = {"kind": "enum", "members": list(thing.__members__)}
        elif isinstance(thing, type):
            found[name] = {"kind": "class", "members": {m: member(thing, m) for m in [*public(thing), *made(name)]}}
        elif inspect.isfunction(thing):
            found[name] = {"kind": "function", "parameters": list(inspect.signature(thing).parameters)}
    return found


def made(name: str) -> list[str]:
    """Constructors that our code calls."""
    return ["__init__"] if name in ("ILogger", "IProgressMonitor", "Builder", "OnnxParser", "Runtime") else []


def member(kind, name: str) -> dict:
    found = inspect.getattr_static(kind, name)
    if isinstance(found, property):
        return {"kind": "property", "settable": found.fset is not None}
    if not inspect.isfunction(found):
        return {"kind": "value"}
    parameters = list(inspect.signature(found).parameters.values())[1:]
    required = sum(parameter.default is parameter.empty for parameter in parameters)
    return {"kind": "method", "parameters": [parameter.name for parameter in parameters], "required": required}


# The real bindings


@pytest.fixture(scope="session")
def bindings(tmp_path_factory):
    """A function that gives the folder of unpacked bindings, with stubs of the libraries they are linked with."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or shutil.which("nm") is None or shutil.which("readelf") is None:
        pytest.skip("needs a C compiler, nm and readelf, to make stubs of TensorRT's libraries")

    def unpack(version: str) -> Path:
        wheel = wheel_of(version)
        if wheel is None:
            pytest.skip(
                f"no wheel of {BINDINGS[version]} {version} for this Python in {FOLDER}: run `make contract-wheels`"
            )
        folder = tmp_path_factory.mktemp(version)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)  # noqa: S202  from the package index, by pip
        make_stubs(compiler, folder / "tensorrt_bindings" / "tensorrt.so", folder)
        return folder

    return unpack


def make_stubs(compiler: str, library: Path, folder: Path) -> None:
    needed = re.findall(r"\[(libnv\S+)\]", output("readelf", "-d", str(library)))
    undefined = re.findall(r"^ +U (\w+)$", output("nm", "-D", "--undefined-only", str(library)), re.MULTILINE)
    here = ctypes.CDLL(None)  # Python and the C library
    symbols = [name for name in undefined if not hasattr(here, name)]
    assert 5 < len(symbols) < 40, symbols
    source = folder / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in symbols))
    for name in needed:
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)],
            check=True,
        )


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("version", tensorrt_double.VERSIONS)
def test_the_double_offers_nothing_that_the_real_bindings_lack(bindings, version):
    """And our logger, monitor, flags and shapes work with them; only the GPU is missing."""
    folder = bindings(version)
    child = subprocess.run(
        [sys.executable, "-m", "tests.support.bindings_child"],
        input=json.dumps(surface(version)),
        env=os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert json.loads(child.stdout) == {"version": version, "wrong": []}


def test_the_check_notices_what_is_not_there(bindings):
    folder = bindings("11.4.0.106")
    asked = surface("8.6.1") | {"Nonsense": {"kind": "class", "members": {}}}
    asked["Runtime"]["members"]["deserialize_cuda_engine"]["parameters"] = ["plan"]
    child = subprocess.run(
        [sys.executable, "-m", "tests.support.bindings_child"],
        input=json.dumps(asked),
        env=os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = "\n".join(json.loads(child.stdout)["wrong"])
    for expected in ("EXPLICIT_BATCH: is not there", "FP16: is not there", "Nonsense: is not there", "not ['plan']"):
        assert expected in wrong


# Our sources

HOLDS = {
    "binding.py": {"device": "cuda.Device"},
    "thread.py": {"context": "cuda.Context"},
    "build.py": {
        "builder": "trt.Builder",
        "parser": "trt.OnnxParser",
        "config": "trt.IBuilderConfig",
        "profile": "trt.IOptimizationProfile",
    },
    "engine.py": {
        "runtime": "trt.Runtime",
        "engine": "trt.ICudaEngine",
        "context": "trt.IExecutionContext",
        "stream": "cuda.Stream",
        "device": "cuda.DeviceAllocation",
    },
}
"""What variables and attributes of these names hold in our sources."""


def chains(tree: ast.AST):
    """Every dotted name, in full: ["trt", "BuilderFlag", "FP16"], ["self", "_context", "set_input_shape"]."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            parts = [node.attr]
            value = node.value
            while isinstance(value, ast.Attribute):
                parts.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name):
                yield [value.id, *reversed(parts)]


def named_in_sources(library: str) -> set[tuple[str, ...]]:
    """What our sources name of "trt" or "cuda": (name,), (class, member), (enumeration, member)."""
    found = set()
    for path in SOURCES:
        holds = HOLDS.get(path.name, {}) | {library: library}
        for chain in chains(ast.parse(path.read_text())):
            for place, part in enumerate(chain[:-1]):
                what = holds.get(part.removeprefix("_"), "").split(".")
                if what[0] == library and (place == 0 or chain[0] in ("self", "session", "buffer")):
                    found.add((*what[1:], *chain[place + 1 :])[:2])
    return found


def offered(thing, names: tuple[str, ...]) -> bool:
    for name in names:
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def test_our_sources_name_nothing_that_no_version_has():
    trt = named_in_sources("trt")
    versions = [module(version) for version in tensorrt_double.VERSIONS]
    assert {names for names in trt if not any(offered(double, names) for double in versions)} == set()
    assert {
        ("BuilderFlag", "FP16"),
        ("IExecutionContext", "execute_async_v3"),
        ("IBuilderConfig", "progress_monitor"),
        ("Runtime", "deserialize_cuda_engine"),
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("nptype",),
    } <= trt


def test_tensorrt_and_pycuda_are_called_by_place_only():
    """So that the names of parameters, which PyCUDA does not always have, do not matter."""
    calls = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    roots = ("trt.", "cuda.", "builder.", "config.", "parser.", "profile.", "self._context.", "self._engine.")
    theirs = [call for call in calls if ast.unparse(call.func).startswith(roots)]
    assert len(theirs) > 30
    assert [ast.unparse(call) for call in theirs if call.keywords] == []


# PyCUDA


@pytest.fixture(scope="session", params=["2024.1", "2025.1", "2026.1"])
def pycuda(request):
    archive = FOLDER / f"pycuda-{request.param}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"no sources of PyCUDA {request.param} in {FOLDER}")
    with tarfile.open(archive) as sources:
        return {name: sources.extractfile(f"pycuda-{request.param}/{name}").read().decode() for name in PYCUDA_FILES}


PYCUDA_FILES = ("src/wrapper/wrap_cudadrv.cpp", "pycuda/driver.py")


def exported(source: str) -> dict[str, set[str]]:
    """Names of the extension module by class; "" holds functions and exceptions, "static" what needs no object."""
    found: dict[str, set[str]] = {"": set(), "static": set()}
    body = source[source.index("BOOST_PYTHON_MODULE(_driver)") :]
    found[""] |= set(re.findall(r'py::def\("(\w+)"', body)) | set(re.findall(r"DEF_SIMPLE_FUNCTION\((\w+)\)", body))
    found[""] |= set(re.findall(r"DECLARE_EXC\((\w+),", body))
    for block in re.split(r"py::class_<", body)[1:]:
        name = re.search(r'\(\s*"(\w+)"', block)
        end = re.search(r"\n\s*;\n", block)
        text = block[: end.start()] if end else block
        members = set(re.findall(r'\.(?:def|add_property)\("(\w+)"', text))
        members |= set(re.findall(r"DEF_SIMPLE_METHOD\((\w+)\)", text))
        found[name[1]] = members
        found["static"] |= {f"{name[1]}.{method}" for method in re.findall(r'staticmethod\("(\w+)"', text)}
    return found


def arguments(source: str, function: str) -> list[str]:
    text = re.search(rf'py::def\("{function}".*?\);', source, re.DOTALL)[0]
    return re.findall(r'"(\w+)"', " ".join(re.findall(r"py::args?\(([^)]*)\)", text)))


def test_the_double_of_pycuda_offers_nothing_that_pycuda_lacks(pycuda):
    source, driver = (pycuda[name] for name in PYCUDA_FILES)
    real = exported(source)
    assert "from pycuda._driver import *" in driver
    double = cuda_double.cuda_double(cuda_double.Machine())
    for name in public(double):
        thing = getattr(double, name)
        if not isinstance(thing, type):
            assert name in real[""]
            assert arguments(source, name) in ([], list(inspect.signature(thing).parameters))
        elif issubclass(thing, Exception):
            assert name in real[""]
            assert name == "Error" or f"DECLARE_EXC({name}, CudaError.get())" in source
        else:
            members = [m for m in vars(thing.__mro__[1]) if not m.startswith("_") or m == "__int__"]
            assert set(members) <= real[name], name
            static = {m for m in members if isinstance(inspect.getattr_static(thing, m), classmethod)}
            assert static == {m for m in members if f"{name}.{m}" in real["static"]}


def test_our_sources_name_nothing_that_pycuda_lacks():
    cuda = named_in_sources("cuda")
    double = cuda_double.cuda_double(cuda_double.Machine())
    assert {names for names in cuda if not offered(double, names)} == set()
    assert {("mem_alloc",), ("Context", "pop"), ("Stream", "synchronize"), ("Device", "compute_capability")} <= cuda
