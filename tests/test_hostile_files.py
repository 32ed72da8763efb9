"""Files made to do harm, exports of a foreign device and sounds: each is named, and none takes the machine along."""

import gzip
import json
import os
import random
import shutil
import tracemalloc
import wave
from datetime import date, datetime, timezone

import pytest

from edged.errors import Unavailable
from edged.export.files import LONGEST_LINE, decode, json_lines
from edged.export.manifest import Manifest, folder_of, named, sha256
from edged.fleet.compact import compact
from edged.fleet.intake import Compacted
from edged.fleet.place import COMPACTED, Place
from edged.fleet.report import ReportRequest, build_fleet_report
from edged.fleet.simulate import simulate
from edged.outputs.sound import read_wav

DAY = date(2026, 11, 19)
NOW = int(datetime(2026, 11, 22, tzinfo=timezone.utc).timestamp() * 1000)
FOLDER = folder_of(DAY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    simulate(folder, 2, [DAY], 17, 0.1, "jsonl.gz", lambda _: None)
    return folder


@pytest.fixture
def place(made, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(made, tmp_path / "place")


def build(place, engine):
    return build_fleet_report(Place(place), ReportRequest("day", DAY, engine=engine), NOW)


def forge(place, data, rows):
    """Give sim-00000 another file of passages, for which its manifest vouches."""
    (path,) = (place / FOLDER).glob("sim-00000-*.manifest.json")
    manifest = json.loads(path.read_bytes())
    file = next(file for file in manifest["files"] if file["table"] == "encounter")
    file |= {"name": named("sim-00000", manifest["number"], data, "encounter.jsonl.gz"), "rows": rows}
    file |= {"bytes": len(data), "sha256": sha256(data)}
    (place / FOLDER / file["name"]).write_bytes(data)
    text = Manifest.model_validate_json(json.dumps(manifest)).text()
    path.unlink()
    (place / FOLDER / named("sim-00000", manifest["number"], text, "manifest.json")).write_bytes(text)


def a_row(place):
    (path,) = (place / FOLDER).glob("sim-00000-*.encounter.jsonl.gz")
    return next(iter(decode(path, "encounter")))


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
@pytest.mark.parametrize(
    "wrong", [{"votes": {"a": 1}}, {"camera": ["x"]}, {"in_open": 2**70}, {"camera": "\ud800"}, {"quarter": "DROP"}]
)
def test_a_value_of_another_kind_is_a_bad_file_and_no_crash(place, engine, wrong):
    forge(place, gzip.compress(json.dumps({**a_row(place), **wrong}).encode() + b"\n"), 1)
    report = build(place, engine)
    (trouble,) = report["troubles"]
    assert trouble["device"] == "sim-00000"
    assert trouble["kind"] in (
        ("file",) if engine == "sqlite" else ("file", "sums")
    )  # DuckDB takes some of it for text


def test_a_small_file_that_unpacks_to_one_endless_line_takes_no_memory(place):
    forge(place, gzip.compress(b" " * 60_000_000), 1)
    tracemalloc.start()
    report = build(place, "sqlite")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [one["device"] for one in report["troubles"]] == ["sim-00000"]
    assert f"more than {LONGEST_LINE} bytes" in report["troubles"][0]["text"]
    assert most < 20_000_000


def test_rows_beyond_those_that_the_manifest_tells_of_are_not_read(place):
    forge(place, json_lines([a_row(place)] * 20_000), 3)
    (trouble,) = build(place, "sqlite")["troubles"]
    assert (trouble["device"], "more rows than the 3" in trouble["text"]) == ("sim-00000", True)


def test_a_device_that_says_its_file_stands_for_those_of_others_is_not_believed(place):
    before = build(place, "sqlite")
    others = frozenset(path.name for path in (place / FOLDER).glob("sim-00001-*.jsonl.gz"))
    text = Compacted(v=1, local_day=str(DAY), files=(), replaces=others).model_dump_json().encode()
    (place / FOLDER / named("sim-00000", 0, text, COMPACTED)).write_bytes(text)
    assert build(place, "sqlite") == before
    compact(Place(place), DAY, NOW)
    assert build(place, "sqlite")["encounters"] == before["encounters"]


def test_a_wav_file_that_was_cut_off_within_a_sample_is_heard_as_far_as_it_goes(tmp_path):
    path = tmp_path / "own.wav"
    for width in (1, 2, 3, 4):
        with wave.open(str(path), "wb") as file:
            file.setparams((2, width, 8000, 0, "NONE", ""))
            file.writeframes(b"\x01" * 8000 * 2 * width)
        path.write_bytes(path.read_bytes()[: -width - 1])
        assert read_wav(path)[0].shape == (7999, 2)


def test_a_wav_file_that_is_damaged_anywhere_is_heard_or_is_one_line(tmp_path):
    path, chance = tmp_path / "own.wav", random.Random(1)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes(b"\x01\x02" * 50)
    whole, problems = path.read_bytes(), set[str]()
    for number in range(3000):
        data = bytearray(whole[: len(whole) if number % 3 else chance.randrange(1, len(whole))])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(min(len(data), 48))] = chance.choice([0, 1, 127, 128, 255])
        path.write_bytes(data)
        try:
            assert len(read_wav(path)[0])
        except Unavailable as error:
            problems.add(str(error))
    assert problems
    assert not [problem for problem in problems if "()" in problem]


def test_what_has_no_end_or_samples_of_thousands_of_bytes_is_no_sound(tmp_path):
    path = tmp_path / "own.wav"
    os.mkfifo(path)
    with pytest.raises(Unavailable, match="not a regular file"):
        read_wav(path)
    path.unlink()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 4, 8000, 0, "NONE", ""))
        file.writeframes(b"\x01" * 32_000)
    data = bytearray(path.read_bytes())
    data[34:36] = (8000).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(Unavailable, match=r"at most 60 s|no WAV"):
        read_wav(path)
