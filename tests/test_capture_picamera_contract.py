"""Holds our Pi camera, and the double that tests it, against picamera2's real sources, which are read and not imported.

`make contract-wheels` fetches them. picamera2 cannot be imported here: it needs libcamera, which comes with the board.
"""

import ast
from pathlib import Path

import pytest

from edged.capture import attached
from tests.support.contract_wheels import FOLDER, PICAMERA2, picamera2_wheel
from tests.support.read_package import Package, Parameters, Use

ROOT = Path(__file__).parents[1]
OURS = (ROOT / "edged" / "capture" / "picamera.py").read_text()
LISTS = (ROOT / "edged" / "capture" / "attached.py").read_text()
DOUBLE = ROOT / "tests" / "support" / "doubles_on_path" / "picamera2"
OF_LIBCAMERA = {"AeEnable"}
"""A control that picamera2 hands through without naming it: libcamera's control_ids_core.yaml has it."""


@pytest.fixture(scope="module")
def real() -> Package:
    wheel = picamera2_wheel()
    if wheel is None:
        pytest.skip(f"no wheel of picamera2 {PICAMERA2} in {FOLDER}: run `make contract-wheels`")
    return Package.from_wheel(wheel, "picamera2")


@pytest.fixture(scope="module")
def double() -> Package:
    return Package.from_folder(DOUBLE)


def use(source: str, package: Package) -> Use:
    return Use(ast.parse(source), package, opener="_library", name="picamera2")


def keys(node: ast.AST) -> set[str]:
    """The keys of all dictionaries in an expression or module, and those it asks dictionaries for."""
    found = [key for inner in ast.walk(node) if isinstance(inner, ast.Dict) for key in inner.keys]
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript):
            found.append(inner.slice)
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "get":
            found += inner.args[:1]
    return {key.value for key in found if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def allowed(package: Package, kind: str) -> set[str]:
    return set(ast.literal_eval(package.classes[kind].fields["_ALLOWED_FIELDS"]))


def test_our_sources_name_nothing_that_picamera2_lacks(real):
    ours = use(OURS, real)
    assert ours.wrong == []
    assert {
        ("Picamera2",), ("MappedArray",), ("Picamera2", "global_camera_info"), ("Picamera2", "create_video_configuration"),
        ("Picamera2", "configure"), ("Picamera2", "camera_configuration"), ("Picamera2", "start"), ("Picamera2", "stop"),
        ("Picamera2", "close"), ("Picamera2", "capture_request"), ("CompletedRequest", "get_metadata"),
        ("CompletedRequest", "release"), ("MappedArray", "array"),
    } <= ours.named  # fmt: skip
    listing = use(attached.PICAMERA, real)
    assert listing.wrong == []
    assert listing.named == {("Picamera2",), ("Picamera2", "global_camera_info")}


def test_every_key_that_we_give_or_ask_for_is_one_of_picamera2s(real):
    ours = use(OURS, real)
    (video,) = [call for name, call in ours.calls if name == "Picamera2.create_video_configuration"]
    (main,) = [keyword.value for keyword in video.keywords if keyword.arg == "main"]
    assert keys(main) == {"size", "format"}
    assert keys(main) <= allowed(real, "StreamConfiguration")
    assert "YUV420" in {node.value for node in ast.walk(main) if isinstance(node, ast.Constant)} & real.strings
    known = allowed(real, "StreamConfiguration") | allowed(real, "CameraConfiguration") | real.strings
    ours_alone = {"fps", "exposure"}  # keys of our own options
    assert {"FrameDurationLimits", "ExposureTime", "SensorTimestamp", "main"} <= keys(ast.parse(OURS))
    assert keys(ast.parse(OURS)) - known - ours_alone == OF_LIBCAMERA


def test_cameras_are_listed_by_keys_that_picamera2_tells(real, double):
    info = real.classes["GlobalCameraInfo"].attributes
    (listing,) = [
        node for node in ast.walk(ast.parse(LISTS)) if isinstance(node, ast.FunctionDef) and node.name == "_pi_cameras"
    ]
    asked = keys(listing) - {"cameras"}  # of our own child's answer
    assert {"Num", "Id", "Model"} == asked <= info
    assert keys(double.classes["Picamera2"].methods["global_camera_info"]) == info


def test_the_double_offers_nothing_that_picamera2_lacks(real, double):
    assert double.exported <= real.exported
    for name, kind in double.classes.items():
        for method in kind.methods:
            assert method in real.classes[name].methods, f"{name}.{method}"
            if (name, method) != ("CompletedRequest", "__init__"):  # picamera2 itself makes them
                assert kind.parameters(method) == real.classes[name].parameters(method), f"{name}.{method}"


def test_what_we_use_is_in_the_double_too(real, double):
    """So that the tests on the double run every call."""
    for class_name, member in (named for named in use(OURS, real).named if len(named) == 2):
        kind = double.classes[class_name]
        assert member in kind.methods or member in kind.attributes, f"{class_name}.{member}"


@pytest.mark.parametrize(
    ("theirs", "wrong", "said"),
    [
        ("picamera2.MappedArray", "picamera2.MappedBuffer", "picamera2.MappedBuffer is not there"),
        ("capture_request()", "capture_frame()", "self._camera.capture_frame is not there"),
        ("capture_request()", "capture_request(timeout=5)", "no parameter timeout"),
        ("_request.release()", "_request.free()", "self._request.free is not there"),
        ("mapped.array", "mapped.picture", "mapped.picture is not there"),
        ("write=False", "writable=False", "no parameter writable"),
        ('self._request, "main", write', "self._request, write", "needs stream"),
        ("buffer_count=BUFFERS", "buffers=BUFFERS", "no parameter buffers"),
        ("_camera.stop()", "_camera.stop(1)", "takes 0 arguments, not 1"),
    ],
)
def test_the_check_notices_what_is_not_there(real, theirs, wrong, said):
    assert theirs in OURS
    assert said in "\n".join(use(OURS.replace(theirs, wrong), real).wrong)


def test_the_check_reads_parameters_as_python_does():
    source = "class A:\n def m(self, a, b=1, **more): ...\n @staticmethod\n def s(x): ...\n"
    kind = Package.from_trees({"__init__.py": ast.parse(source)}).classes["A"]
    assert kind.parameters("m") == Parameters(("a", "b"), 1, True)
    assert kind.parameters("s") == Parameters(("x",), 1)
    assert kind.parameters("__init__") == Parameters((), 0)
