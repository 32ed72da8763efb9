"""Holds the pipelines that we write against what GStreamer itself says of its elements; the Jetson's own are not here."""

import re
import shutil
import subprocess
from functools import cache

import pytest

from edged.capture import gstreamer
from edged.capture.feeds import capture_settings
from edged.config import CameraConfig

JETSON = {"nvarguscamerasrc", "nvvidconv"}
"""They come with JetPack; tests/test_capture_gstreamer.py holds them against NVIDIA's documentation."""
OWN = "gst:videotestsrc pattern=13 is-live=true"
SOURCES = ("csi://0?width=1280&height=720&fps=30&exposure=5000", OWN)

pytestmark = pytest.mark.skipif(
    shutil.which("gst-inspect-1.0") is None,
    reason="gst-inspect-1.0 is not installed: "
    "apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
)


def parts(words: list[str]) -> list[list[str]]:
    """The pipeline in a command line: an element with its properties, or capabilities, between exclamation marks."""
    program, quiet, *rest = words
    assert (program, quiet) == (gstreamer.PROGRAM, "-q")
    found: list[list[str]] = [[]]
    for word in rest:
        if word == "!":
            found.append([])
        else:
            found[-1].append(word)
    return found


def pipeline(source: str) -> list[list[str]]:
    order, _ = capture_settings(CameraConfig(source=source))
    elements = gstreamer.camera_elements if source.startswith("csi") else gstreamer.pipeline_elements
    return parts(gstreamer.command(elements(order), 7))


def is_capabilities(part: list[str]) -> bool:
    return "/" in part[0].partition("=")[0].partition(",")[0]


@cache
def said_of(element: str) -> str | None:
    """What GStreamer tells of an element; None when it has none of this name."""
    said = subprocess.run(["gst-inspect-1.0", element], capture_output=True, text=True, timeout=120)
    return said.stdout if said.returncode == 0 else None


def properties(said: str) -> dict[str, str]:
    """What is told of each property, by its name."""
    block = said.partition("Element Properties:\n")[2]
    found = re.split(r"^  (?=\S)([\w-]+) *: ", block, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def wrong(part: list[str]) -> list[str]:
    """What of an element and its properties GStreamer does not know."""
    element, *settings = part
    said = said_of(element)
    if said is None:
        return [f"no element {element}"]
    known, found = properties(said), []
    for setting in settings:
        name, _, value = setting.partition("=")
        told = known.get(name)
        if told is None:
            found.append(f"{element} has no {name}")
        elif "writable" not in told:
            found.append(f"{element}'s {name} cannot be set")
        elif "\n" in told and re.search(r"^\s+Enum ", told, re.MULTILINE) and not _is_choice(value, told):
            found.append(f"{element}'s {name} cannot be {value}")
    return found


def _is_choice(value: str, told: str) -> bool:
    """Choices are told as `(2): downstream - Leaky on downstream`; the number serves as well as the word."""
    return any(value in choice for choice in re.findall(r"\((\d+)\): (\S+)", told))


@pytest.mark.parametrize("source", SOURCES)
def test_every_element_and_property_is_known_to_gstreamer(source):
    elements = [part for part in pipeline(source) if not is_capabilities(part) and part[0] not in JETSON]
    names = {part[0] for part in elements}
    assert {"videorate", "y4menc", "queue", "fdsink"} <= names
    assert source != OWN or {"videoconvert", "videoscale"} <= names
    assert [what for part in elements for what in wrong(part)] == []


@pytest.mark.parametrize("source", SOURCES)
def test_capabilities_are_such_as_the_next_element_takes(source):
    """I420 in main memory is what y4menc writes, and `format` one of its own names."""
    capabilities = [part for part in pipeline(source) if is_capabilities(part)]
    *_, last = capabilities
    media, *fields = ",".join(last).split(",", 2)
    assert (media, fields[0]) == ("video/x-raw", "format=I420")
    sink = (said_of("y4menc") or "").partition("SINK template")[2].partition("SRC template")[0]
    assert "video/x-raw" in sink
    assert "I420" in sink


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("videorat drop-only=true", "no element videorat"),
        ("videorate max-rat=15", "videorate has no max-rat"),
        ("videorate drop=1", "videorate's drop cannot be set"),
        ("queue leaky=downwards", "queue's leaky cannot be downwards"),
    ],
)
def test_the_check_notices_what_is_not_there(part, said):
    assert wrong(part.split()) == [said]
