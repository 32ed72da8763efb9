"""The report over many devices: it says what each device's own report says, and names whatever is not in order."""

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from report_days import HOUR, config, door_and_cab, encounter, passages, span, store_reports, watched
from test_export_day import DAY, Site

from edged.cli.fleet import fleet
from edged.errors import Unavailable, UsageError
from edged.export import Exporter
from edged.export.files import decode, json_lines
from edged.export.manifest import Manifest, Name, folder_of, named, parse_name, sha256
from edged.fleet.compact import compact
from edged.fleet.engines import Fault
from edged.fleet.intake import Intake, Part, Sent
from edged.fleet.place import KNOWN_FOR_DAYS, Place
from edged.fleet.report import ReportRequest, build_fleet_report
from edged.fleet.simulate import simulate
from edged.payloads.fleet import FleetDocument
from edged.report import canonical_json, render_fleet_csv
from edged.report.page import render_fleet_html
from edged.schemas import schema_of
from edged.store import Store, StoreReader

DAYS = [date(2026, 11, 17), date(2026, 11, 18), date(2026, 11, 19)]
NOW = int(datetime(2026, 11, 22, 12, tzinfo=timezone.utc).timestamp() * 1000)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Five devices with three days, as they exported them, and what they have seen."""
    place = tmp_path_factory.mktemp("place")
    truth = simulate(place, 5, DAYS, 17, 0.3, "jsonl.gz", lambda _: None)
    return place, truth


@pytest.fixture
def place(made, tmp_path):
    return Path(shutil.copytree(made[0], tmp_path / "place"))


def build(place, period="week", engine="duckdb", day=DAYS[-1], **more):
    return build_fleet_report(Place(place), ReportRequest(period, day, engine=engine, **more), NOW)


def text(place, **more):
    return canonical_json(build(place, **more))


def troubles(report):
    return [(one["device"], one["day"], one["kind"]) for one in report["troubles"]]


def of_day(place, day, device, ending):
    """The files of one device and day with this ending."""
    paths = sorted((place / folder_of(day)).glob(f"{device}-*{ending}"))
    assert paths
    return paths


def rewrite(path, **changes):
    """The manifest at `path` with other values, under the name that goes with them."""
    manifest = Manifest.model_validate_json(path.read_bytes()).model_dump(mode="json") | changes
    try:
        data = Manifest.model_validate(manifest).text()
    except ValidationError:
        data = json.dumps(manifest).encode()
    name = parse_name(path.name)
    path.unlink()
    path.with_name(named(name.device_id, manifest["number"], data, name.ending)).write_bytes(data)


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
def test_one_device_gets_the_figures_of_its_own_report(tmp_path, form, engine):
    site = Site(tmp_path, form).busy().close().export()
    own = json.loads(StoreReader(site.store.path).report(str(DAY))["report"])
    found = build(site.place, "day", engine)
    same = (
        "encounters",
        "judged",
        "correct",
        "incorrect",
        "none",
        "uncertain",
        "compliance_percent",
        "interval",
        "bounds",
    )
    same += (
        "uncertain_percent",
        "few",
        "withheld",
        "coverage_percent",
        "coverage_partial",
        "target_percent",
        "verdict",
    )
    assert {name: found[name] for name in same} == {name: own[name] for name in same}
    assert own["interval"]["design_effect_assumed"] is False
    (device,) = found["by_device"]
    assert {name: device[name] for name in same[:12]} == {name: own[name] for name in same[:12]}
    cameras = {row["camera"]: row for row in own["by_camera"]}
    assert [{n: row[n] for n in same[:12]} for row in device["by_camera"]] == [
        {n: cameras[row["camera"]][n] for n in same[:12]} for row in device["by_camera"]
    ]
    assert [
        (row["label"], row["correct"], row["compliance_percent"], row["watched_percent"]) for row in found["by_hour"]
    ] == [(row["label"], row["correct"], row["compliance_percent"], row["watched_percent"]) for row in own["by_hour"]]
    assert found["worst_hours"] == own["worst_hours"]
    counts = ("count", "incorrect", "none", "held_back")
    assert {n: found["violations"][n] for n in counts} == {n: own["violations"][n] for n in counts}
    assert found["outside_open_hours"] == own["outside_open_hours"]
    assert (found["complete"], found["troubles"]) == (True, [])


DOOR_AND_CAB = ("encounters", "judged", "compliance_percent", "interval", "withheld", "coverage_percent")
DOOR_AND_CAB += ("masks_coverage_percent", "coverage_partial", "target_percent", "verdict", "worst_hours")


def door_site(folder, form="jsonl.gz", dark="cab", **more):
    """A closed day at a door that asks for masks and in a cab, one of which is dark from one in the afternoon on."""
    site = Site(folder, form)
    settings = door_and_cab(open_from="07:00", open_until="20:00", target_percent=60)
    site.settings = site.settings.model_copy(update={"camera": settings.camera, "report": settings.report})
    begin, _ = span(DAY)
    opened = (begin + 7 * HOUR, begin + 20 * HOUR)
    odds = {"correct": 80, "incorrect": 8, "none": 7, "uncertain": 5}
    site.store.write(
        [
            *passages(random.Random(1), [(opened[0], begin + 13 * HOUR)], lambda at: 0.9, odds),
            *watched(*opened, "cab" if dark == "door" else "door"),
            *watched(opened[0], begin + 13 * HOUR, dark),
            encounter(9_999_999, begin + 9 * HOUR, "uncertain", "cab", votes={}),
        ]
    )
    return site


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
@pytest.mark.parametrize(("dark", "withheld"), [("cab", None), ("door", "coverage")])
def test_a_device_that_asks_for_masks_at_some_cameras_gets_the_figures_of_its_own_report(
    tmp_path, form, engine, dark, withheld
):
    """The percentage rests on what the door watched, here as there, also after what was sent was put together."""
    site = door_site(tmp_path, form, dark).close().export()
    own = json.loads(StoreReader(site.store.path).report(str(DAY))["report"])
    assert (own["withheld"], own["coverage_percent"]) == (withheld, 73.1)
    assert own["masks_coverage_percent"] == (46.2 if dark == "door" else 100.0)
    assert site.manifests()[0].unasked == ("cab",)
    found = build(site.place, "day", engine)
    assert {name: found[name] for name in DOOR_AND_CAB} == {name: own[name] for name in DOOR_AND_CAB}
    shares = ("compliance_percent", "open", "watched_percent", "masks_watched_percent")
    assert [[row[n] for n in shares] for row in found["by_hour"]] == [
        [row[n] for n in shares] for row in own["by_hour"]
    ]
    for row in (*found["by_device"], next(row for row in found["by_day"] if row["date"] == str(DAY))):
        assert [row[name] for name in ("coverage_percent", "masks_coverage_percent")] == [
            own["coverage_percent"],
            own["masks_coverage_percent"],
        ]
        assert row["compliance_percent"] == own["compliance_percent"]
    assert not any("masks_coverage_percent" in row for row in found["by_device"][0]["by_camera"])
    jsonschema_rs.Draft202012Validator(schema_of(FleetDocument)).validate(found)
    shown = " ".join(re.sub(r"<[^>]*>", " ", render_fleet_html(found)).split())
    assert f"Watched 73.1 % of open hours (for masks {own['masks_coverage_percent']} %)" in shown
    rows = list(csv.DictReader(io.StringIO(render_fleet_csv(found))))
    assert {row["masks_coverage_percent"] for row in rows if row["record"] in ("day", "device")} == {
        str(own["masks_coverage_percent"])
    }


def test_a_device_without_masks_weakens_no_percentage_of_those_that_ask_for_them(made, place, tmp_path):
    before = build(place, "day")
    (tmp_path / "cab").mkdir()
    site = Site(tmp_path / "cab")
    driver = config(cameras=["cab"], profile="driver")
    site.settings = site.settings.model_copy(update={"camera": driver.camera})
    site.close().export()
    shutil.copytree(site.place, place, dirs_exist_ok=True)
    found = build(place, "day")
    assert found["masks_coverage_percent"] == before["coverage_percent"] > found["coverage_percent"]
    assert "masks_coverage_percent" not in before
    assert (found["compliance_percent"], found["worst_hours"]) == (before["compliance_percent"], before["worst_hours"])
    cab = next(row for row in found["by_device"] if row["device"] == "entrance-1")
    assert (cab["coverage_percent"], "masks_coverage_percent" in cab) == (0.0, False)
    assert canonical_json(found) == text(place, period="day", engine="sqlite")


def test_a_manifest_of_an_earlier_version_counts_the_coverage_of_all_cameras(tmp_path):
    """Nothing in it says which camera follows masks."""
    site = door_site(tmp_path).close().export()
    (path,) = site.place.rglob("*.manifest.json")
    whole = json.loads(path.read_bytes())
    del whole["unasked"]
    data = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path.unlink()
    path.with_name(named("entrance-1", 1, data, "manifest.json")).write_bytes(data)
    found = build(site.place, "day")
    assert (found["complete"], found["coverage_percent"], "masks_coverage_percent" in found) == (True, 73.1, False)


def test_the_last_manifest_of_a_day_says_which_cameras_followed_masks(tmp_path):
    """A camera that asked for masks until noon: its passages came to the record after the first export."""
    site = door_site(tmp_path).close().export()
    begin, _ = span(DAY)
    site.store.write([encounter(5_000_000 + n, begin + 8 * HOUR + n * 1000, "none", "cab") for n in range(40)])
    site.close().export()
    own = json.loads(StoreReader(site.store.path).report(str(DAY))["report"])
    assert [one.unasked for one in site.manifests()] == [("cab",), ()]
    for when in ("sent", "put together"):
        found = build(site.place, "day")
        assert found["judged"] == own["judged"]
        assert (found["coverage_percent"], "masks_coverage_percent" in found) == (73.1, False), when
        compact(Place(site.place), DAY, NOW)


def test_a_camera_that_asked_for_masks_on_some_days_is_measured_by_these(tmp_path):
    """The gate asks for none on the second day, and is dark then."""
    site = Site(tmp_path)
    for day in DAYS[1:]:
        site.busy(day, seed=day.day, cameras=("door", "gate") if day == DAYS[1] else ("door",))
    site.close(DAYS[1])
    driver = config(cameras=["gate"], profile="driver").camera["gate"]
    site.settings = site.settings.model_copy(update={"camera": {**site.settings.camera, "gate": driver}})
    site.close(DAY).export()
    found = build(site.place)
    gate = next(row for row in found["by_device"][0]["by_camera"] if row["camera"] == "gate")
    assert (gate["coverage_percent"], gate["masks_coverage_percent"], gate["withheld"]) == (46.2, 92.3, None)
    assert (found["coverage_percent"], found["masks_coverage_percent"]) == (69.2, 92.3)
    assert canonical_json(found) == text(site.place, engine="sqlite")


def test_a_day_that_is_exported_late_has_the_figures_of_its_own_report_whatever_was_set_since(tmp_path):
    """Another camera, other open hours, another target and another time zone: the day knew nothing of them."""
    site = Site(tmp_path).busy().close()
    own = json.loads(StoreReader(site.store.path).report(str(DAY))["report"])
    later = config(
        "America/New_York", ("gate", "yard", "roof"), open_from="10:00", open_until="12:00", target_percent=99
    )
    site.settings = site.settings.model_copy(update={"camera": later.camera, "report": later.report})
    site.export()
    found = build(site.place, "day")
    same = ("judged", "uncertain", "compliance_percent", "interval", "coverage_percent", "target_percent", "verdict")
    assert {name: found[name] for name in same} == {name: own[name] for name in same}
    assert found["outside_open_hours"] == own["outside_open_hours"]
    (device,) = found["by_device"]
    assert [row["camera"] for row in device["by_camera"]] == ["door", "gate"]
    assert device["tz"] == "Europe/Madrid"
    assert site.export().manifests()[0].seq == 1
    assert len(site.manifests()) == 1


def test_every_device_and_day_counts_what_was_true(made, place):
    truth = made[1]
    report = build(place)
    for device in report["by_device"]:
        total = sum((truth.passages[device["device"], str(day)] for day in DAYS), Counter())
        assert Counter({state: device[state] for state in total}) == total
    for row in report["by_day"][1:4]:
        total = sum((counts for (_, day), counts in truth.passages.items() if day == row["date"]), Counter())
        assert Counter({state: row[state] for state in total}) == total
    assert any(len(of_day(place, day, "sim", ".manifest.json")) > 5 for day in DAYS), "no late changes were made up"


def test_every_engine_gives_the_same_bytes(place):
    assert text(place, engine="sqlite") == text(place, engine="duckdb")


def test_the_report_meets_its_schema(place):
    jsonschema_rs.Draft202012Validator(schema_of(FleetDocument)).validate(build(place))


def test_order_doubles_and_redelivery_change_nothing(made, tmp_path):
    """Files arrive in any order, twice, or not and then after all; on the way nothing counts twice, and what lacks is named."""
    whole = text(made[0])
    total = json.loads(whole)["encounters"]
    files = sorted(path.relative_to(made[0]) for path in made[0].rglob("*") if path.is_file())
    for seed in range(3):
        chance, place = random.Random(seed), tmp_path / f"place-{seed}"
        deliveries = files + chance.sample(files, 10)
        chance.shuffle(deliveries)
        dropped = chance.sample(files, 6)
        for number, file in enumerate([*(one for one in deliveries if one not in dropped), *dropped], 1):
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made[0] / file, place / file)
            if number % 20 == 0:
                on_the_way = build(place, expected=frozenset(f"sim-{n:05d}" for n in range(5)))
                assert on_the_way["encounters"] <= total
                assert on_the_way["encounters"] == total or not on_the_way["complete"]
        assert text(place) == whole


@pytest.mark.parametrize("ending", [".encounter.jsonl.gz", ".cover.jsonl.gz", ".manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "altered", "empty", "gone", "a folder"])
def test_a_damaged_file_is_named_and_its_device_day_not_counted(made, place, ending, damage):
    path = of_day(place, DAYS[1], "sim-00002", ending)[0]
    data = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes({"cut": data[:-20], "altered": data[:50] + b"x" + data[51:], "empty": b""}[damage])
    report = build(place, "day", day=DAYS[1])
    kinds = {kind for device, day, kind in troubles(report) if (device, day) == ("sim-00002", str(DAYS[1]))}
    lost_manifest = ending == ".manifest.json" and damage == "gone"
    assert kinds == {"silent" if lost_manifest else "file" if "manifest" not in ending else "manifest"}
    assert {device for device, _, _ in troubles(report)} == {"sim-00002"}
    rest = sum((made[1].passages[f"sim-{n:05d}", str(DAYS[1])] for n in (0, 1, 3, 4)), Counter())
    assert report["encounters"] == rest.total()


def test_a_file_that_is_what_it_says_and_makes_no_sense_is_named(made, place):
    for form, garbage in (("jsonl.gz", json_lines([{"no": "columns"}])[:30]), ("parquet", b"PAR1 nothing PAR1")):
        manifest = of_day(place, DAYS[1], "sim-00002", ".manifest.json")[0]
        files = json.loads(manifest.read_bytes())["files"]
        name = named("sim-00002", json.loads(manifest.read_bytes())["number"], garbage, f"encounter.{form}")
        (manifest.parent / name).write_bytes(garbage)
        files[0] |= {"name": name, "bytes": len(garbage), "sha256": sha256(garbage)}
        rewrite(manifest, files=files)
        for engine in ("duckdb", "sqlite"):
            report = build(place, "day", engine, DAYS[1])
            assert ("sim-00002", str(DAYS[1]), "file") in troubles(report)
            assert report["devices"]["reported"] == 4


def test_a_manifest_that_lies_about_its_sums_is_named(place):
    (manifest,) = of_day(place, DAYS[0], "sim-00001", ".manifest.json")
    sums = json.loads(manifest.read_bytes())["sums"]
    rewrite(manifest, sums=sums | {"correct": sums["correct"] + 5})
    report = build(place, "day", day=DAYS[0])
    assert troubles(report) == [("sim-00001", str(DAYS[0]), "sums")]


def forge(place, device, change, table="encounter", day=DAYS[1], **manifest):
    """A device's file of `table` with `change` done to each row, and the manifest that goes with it."""
    (path,) = of_day(place, day, device, ".manifest.json")
    whole = json.loads(path.read_bytes())
    (file,) = [one for one in whole["files"] if one["table"] == table]
    rows = [changed for row in decode(path.parent / file["name"], table) for changed in change(row)]
    data = json_lines(rows)
    file |= {"name": named(device, whole["number"], data, f"{table}.jsonl.gz"), "rows": len(rows)}
    file |= {"bytes": len(data), "sha256": sha256(data)}
    (path.parent / file["name"]).write_bytes(data)
    rewrite(path, files=whole["files"], **manifest)


FORGERIES = {
    "rows of another device": ("encounter", lambda row: [row | {"device_id": "sim-00004"}]),
    "one event of another device": (
        "encounter", lambda row: [row, row | {"device_id": "sim-00004", "kind": "mask", "outcome": "none"}]
    ),
    "coverage of another device": ("cover", lambda row: [row | {"device_id": "sim-00004", "watched_s": 0}]),
    "rows of another day": ("encounter", lambda row: [row | {"local_day": str(DAYS[2])}]),
    "coverage of another day": ("cover", lambda row: [row | {"local_day": str(DAYS[2])}]),
    "an hour that no day has": ("encounter", lambda row: [row | {"local_hour": 24}]),
    "more seconds than an hour has": ("cover", lambda row: [row | {"watched_s": 10**9}]),
    "nobody's rows": ("encounter", lambda row: [row | {"device_id": None}]),
}  # fmt: skip


@pytest.mark.parametrize(("table", "change"), FORGERIES.values(), ids=list(FORGERIES))
def test_a_file_whose_rows_are_not_its_manifests_is_refused_whole_and_harms_no_other(made, place, table, change):
    """Its hashes are right, and its manifest is: the device itself has made it so."""
    forge(place, "sim-00001", change, table)
    report = build(place, "day", "duckdb", DAYS[1])
    assert troubles(report) == [("sim-00001", str(DAYS[1]), "file")]
    assert "not counted" in report["troubles"][0]["text"]
    rest = {n: made[1].passages[f"sim-{n:05d}", str(DAYS[1])].total() for n in (0, 2, 3, 4)}
    assert {int(one["device"][-1]): one["encounters"] for one in report["by_device"]} == rest
    assert report["encounters"] == sum(rest.values())
    assert canonical_json(report) == text(place, period="day", engine="sqlite", day=DAYS[1])
    assert compact(Place(place), DAYS[1], NOW), "what is whole is put together, and nothing else"
    assert canonical_json(report) == text(place, period="day", day=DAYS[1])


def test_rows_of_another_day_that_is_asked_for_too_count_on_neither(made, place):
    forge(place, "sim-00001", FORGERIES["rows of another day"][1])
    found = next(one for one in build(place)["by_device"] if one["device"] == "sim-00001")
    assert found["encounters"] == sum(made[1].passages["sim-00001", str(day)].total() for day in (DAYS[0], DAYS[2]))


def test_a_manifest_that_lists_a_file_of_another_is_not_counted(place):
    (mine,), (other,) = (of_day(place, DAYS[1], device, ".manifest.json") for device in ("sim-00001", "sim-00002"))
    rewrite(mine, files=json.loads(other.read_bytes())["files"])
    report = build(place, "day", day=DAYS[1])
    assert troubles(report) == [("sim-00001", str(DAYS[1]), "manifest")]


def test_one_event_id_at_two_devices_is_two_events(place):
    before = build(place, "day", day=DAYS[1])["encounters"]
    for device in ("sim-00001", "sim-00002"):
        ids = (f"E{number}" for number in range(10_000))
        forge(place, device, lambda row, ids=ids: [row | {"event_id": next(ids)}])
    report = build(place, "day", day=DAYS[1])
    assert (report["encounters"], report["complete"]) == (before, True)


def test_a_copied_card_is_named(tmp_path):
    """Two devices with one id that go on with the same exports."""
    site = Site(tmp_path).busy(day=DAYS[1]).close(DAYS[1])
    site.now = span(DAYS[1])[1] + HOUR
    site.export().store.close()
    twin = Path(shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-twin")))
    for number, folder in enumerate((tmp_path, twin)):
        store = Store(folder / "edged.db")
        store.write([encounter(70_000 + number, span(DAY)[0] + 9 * HOUR, "correct")])
        store_reports(store, site.settings, [DAYS[1], DAY])
        store.close()
        at = site.settings.store.model_copy(update={"path": folder / "edged.db"})
        settings = site.settings.model_copy(update={"store": at})
        Exporter(settings, StoreReader(at.path), span(DAY)[1] + HOUR, lambda _: None).export(None)
    report = build(site.place, "day", day=DAY)
    assert troubles(report) == [("entrance-1", "", "two chains")]
    assert "copying a card" in report["troubles"][0]["text"]
    assert report["encounters"] == 2


def test_a_device_whose_manifest_is_lost_after_compaction_is_left_out_alone(made, place):
    compact(Place(place), DAYS[1], NOW)
    for path in of_day(place, DAYS[1], "sim-00003", ".manifest.json"):
        path.unlink()
    for engine in ("duckdb", "sqlite"):
        report = build(place, "day", engine, DAYS[1])
        rest = sum((made[1].passages[f"sim-{n:05d}", str(DAYS[1])] for n in (0, 1, 2, 4)), Counter())
        assert report["encounters"] == rest.total()
        assert {(device, kind) for device, _, kind in troubles(report)} == {("sim-00003", "silent"), ("", "file")}


@pytest.mark.parametrize(
    "change",
    [{"device_id": "another"}, {"local_day": "2026-11-18"}, {"local_day": "2026-02-30"}, {"target_percent": float("nan")},
     {"target_percent": -5}, {"target_percent": 1e308}],
)  # fmt: skip
def test_a_manifest_of_another_device_or_day_or_with_a_target_that_is_none_is_not_counted(place, change):
    (manifest,) = of_day(place, DAYS[0], "sim-00001", ".manifest.json")
    rewrite(manifest, **change)
    report = build(place, "day", day=DAYS[0])
    assert ("sim-00001", str(DAYS[0]), "manifest") in troubles(report)
    assert report["devices"]["reported"] == 4


def test_a_device_that_sent_nothing_comes_first(place):
    for path in of_day(place, DAYS[2], "sim-00003", ""):
        path.unlink()
    of_day(place, DAYS[2], "sim-00000", ".cover.jsonl.gz")[0].unlink()
    report = build(place, "day")
    assert troubles(report)[0] == ("sim-00003", str(DAYS[2]), "silent")
    assert (report["devices"]["silent"], report["complete"]) == (1, False)
    assert report["devices"]["known"] == 5


def test_a_device_that_is_expected_and_never_came_is_missed(place):
    report = build(place, "day", expected=frozenset(["door-9", "sim-00001"]))
    assert troubles(report) == [("door-9", str(DAYS[2]), "silent")]
    assert report["devices"]["known"] == 6


@pytest.mark.parametrize(
    ("zone", "hour", "silent"),
    [
        ("America/Los_Angeles", 9, False),  # the 19th ends there at 8 o'clock UTC, and exports may take two hours
        ("America/Los_Angeles", 10, True),
        ("Pacific/Auckland", 1, True),
        ("No/Such_Place", 1, False),  # as UTC
        ("No/Such_Place", 2, True),
    ],
)
def test_a_day_is_missed_once_it_is_over_where_the_device_stands(place, zone, hour, silent):
    for path in of_day(place, DAYS[2], "sim-00003", ""):
        path.unlink()
    for manifest in of_day(place, DAYS[1], "sim-00003", ".manifest.json"):
        rewrite(manifest, tz=zone)
    now = int(datetime(2026, 11, 20, hour, tzinfo=timezone.utc).timestamp() * 1000)
    report = build_fleet_report(Place(place), ReportRequest("day", DAYS[2]), now)
    assert (("sim-00003", str(DAYS[2]), "silent") in troubles(report)) == silent


def test_a_new_device_is_not_missed_before_its_first_day(place):
    for day in DAYS[:2]:
        for path in of_day(place, day, "sim-00004", ""):
            path.unlink()
    missed = [day for device, day, kind in troubles(build(place)) if (device, kind) == ("sim-00004", "silent")]
    assert missed == ["2026-11-20", "2026-11-21"]


def test_a_broken_chain_is_named(place):
    for path in of_day(place, DAYS[1], "sim-00001", ""):
        path.unlink()
    report = build(place, "day")
    assert ("sim-00001", str(DAYS[2]), "broken chain") in troubles(report)


def test_two_devices_with_one_id_are_named_and_both_counted(tmp_path):
    sites = []
    for number, seed in enumerate((1, 40)):
        (tmp_path / str(number)).mkdir()
        sites.append(Site(tmp_path / str(number)).busy(seed=seed).close().export())
    shutil.copytree(sites[1].place, sites[0].place, dirs_exist_ok=True)
    report = build(sites[0].place, "day")
    assert troubles(report) == [("entrance-1", "", "two chains")]
    alone = [build(sites[1].place, "day")["encounters"]]
    assert report["encounters"] > alone[0]


def test_a_device_from_the_future_is_named(place):
    (manifest,) = of_day(place, DAYS[0], "sim-00001", ".manifest.json")
    target = place / folder_of("2026-12-24") / manifest.name
    target.parent.mkdir()
    shutil.copy(manifest, target)
    assert troubles(build(place, "day")) == [("sim-00001", "2026-12-24", "future")]
    rewrite(manifest, created_ms=NOW + 10 * 24 * HOUR)
    assert ("sim-00001", str(DAYS[0]), "future") in troubles(build(place, "day", day=DAYS[0]))


def test_a_later_schema_is_named_and_not_counted(place):
    (manifest,) = of_day(place, DAYS[0], "sim-00001", ".manifest.json")
    rewrite(manifest, schema_v=2)
    (place / "record/v=2").mkdir()
    report = build(place, "day", day=DAYS[0])
    assert troubles(report) == [("", "", "later schema"), ("sim-00001", str(DAYS[0]), "later schema")]


def test_columns_that_a_later_version_adds_are_passed_over(place):
    before = text(place, period="day")
    for manifest in of_day(place, DAYS[2], "sim", ".manifest.json"):
        whole = json.loads(manifest.read_bytes())
        for file in whole["files"]:
            path = manifest.parent / file["name"]
            data = json_lines([row | {"humidity": 40} for row in decode(path, file["table"])])
            file |= {"name": named(whole["device_id"], whole["number"], data, f"{file['table']}.jsonl.gz")}
            file |= {"bytes": len(data), "sha256": sha256(data)}
            (manifest.parent / file["name"]).write_bytes(data)
        rewrite(manifest, files=whole["files"])
    assert text(place, period="day") == before


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_report_of_one_day_of_365_opens_the_files_of_that_day_alone(place, tmp_path):
    """By the kernel's own account, whichever library opens."""
    for number in range(365 - len(DAYS)):
        shutil.copytree(place / folder_of(DAYS[0]), place / folder_of(DAYS[0] - timedelta(days=1 + number)))
    seen, out = tmp_path / "opened", tmp_path / "report.json"
    report = [sys.executable, "-m", "edged", "fleet", "report", str(DAYS[2]), "--from", str(place), "--format", "json"]
    traced = ["strace", "-f", "-qq", "-e", "trace=openat,open", "-o", str(seen), *report, "--out", str(out)]
    subprocess.run(traced, check=True, timeout=240, capture_output=True)
    opened = [line for line in seen.read_text(errors="replace").splitlines() if f"{place}/record" in line]
    files = Counter(re.search(r"dt=(\S+?)/", line)[1] for line in opened if "O_DIRECTORY" not in line)
    folders = {match[1] for line in opened if (match := re.search(r"dt=([0-9-]+)\"", line))}
    expected = sum(path.is_file() for path in (place / folder_of(DAYS[2])).iterdir())
    assert list(files) == [str(DAYS[2])]
    assert expected <= files[str(DAYS[2])] <= 4 * expected, "each for its hash, and to read"
    assert min(folders) == str(DAYS[2] - timedelta(days=KNOWN_FOR_DAYS)), "who reported lately, by the names alone"
    assert json.loads(out.read_text())["encounters"] > 0


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet"])
def test_a_compacted_place_gives_the_same_report(place, form):
    if form == "parquet":
        for path in place.rglob("*.jsonl.gz"):
            assert path.name.endswith(".jsonl.gz")
    before = text(place)
    counts = [compact(Place(place), day, NOW) for day in DAYS]
    assert all(counts)
    assert len(list((place / folder_of(DAYS[0])).glob("*.parquet"))) == 2
    assert not list(place.rglob("*.jsonl.gz"))
    assert text(place) == before
    assert text(place, engine="sqlite") == before
    assert compact(Place(place), DAYS[0], NOW) is None


def test_what_comes_after_compaction_counts_and_is_compacted_too(made, place):
    late = of_day(place, DAYS[1], "sim-00002", "")
    kept = {path: path.read_bytes() for path in late}
    before = text(place)
    for path in late:
        path.unlink()
    compact(Place(place), DAYS[1], NOW)
    for path, data in kept.items():
        path.write_bytes(data)
    assert text(place) == before
    assert compact(Place(place), DAYS[1], NOW) == sum(".manifest" not in path.name for path in late)
    assert text(place) == before
    assert len(list((place / folder_of(DAYS[1])).glob("fleet-*"))) == 3


def test_late_changes_without_cover_leave_the_compacted_cover_in_its_place(tmp_path):
    """The day's cover has the same bytes in both compactions, and so the same name."""
    site = Site(tmp_path)
    begin, _ = span(DAY)
    site.store.write([encounter(1, begin + 9 * HOUR, "correct"), *watched(begin + 7 * HOUR, begin + 9 * HOUR)])
    site.close().export()
    assert compact(Place(site.place), DAY, NOW)
    (cover,) = site.place.rglob("fleet-*.cover.parquet")
    site.store.write([encounter(2, begin + 8 * HOUR, "none")])
    site.export()
    before = text(site.place, period="day")
    assert compact(Place(site.place), DAY, NOW)
    assert list(site.place.rglob("fleet-*.cover.parquet")) == [cover]
    assert text(site.place, period="day") == before
    assert json.loads(before)["encounters"] == 2


def test_a_compaction_that_was_cut_short_counts_nothing_twice(place, monkeypatch):
    before = text(place)
    files = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    compact(Place(place), DAYS[1], NOW)
    for path, data in files.items():  # as if nothing had been removed
        path.write_bytes(data)
    assert text(place) == before
    next(path for path in place.rglob("fleet-*.compact.json")).unlink()  # as if its manifest had not been written
    assert text(place) == before


def test_a_damaged_compaction_is_named(place):
    compact(Place(place), DAYS[1], NOW)
    (path,) = place.rglob("fleet-*.encounter.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    report = build(place, "day", day=DAYS[1])
    assert report["encounters"] == 0
    assert {kind for _, _, kind in troubles(report)} == {"file"}
    assert {device for device, _, _ in troubles(report)} == {"", *(f"sim-{n:05d}" for n in range(5))}


def test_what_a_damaged_compaction_held_can_be_sent_again(place):
    before = text(place)
    kept = {path: path.read_bytes() for path in place.rglob("*.jsonl.gz") if str(DAYS[1]) in str(path)}
    compact(Place(place), DAYS[1], NOW)
    (path,) = place.rglob("fleet-*.encounter.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    for one, data in kept.items():
        one.write_bytes(data)
    assert compact(Place(place), DAYS[1], NOW) == len(kept)
    assert path.exists()
    assert text(place) == before


COMPACTER = """
import os, signal, sys
from datetime import date
from pathlib import Path
import duckdb
from edged.fleet.compact import compact
from edged.fleet.place import Place
def hook(event, arguments):  # before each step that changes the place: the power goes at the one that was asked for
    global left
    writes = event in ("os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate")
    writes = writes or (event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if writes and place in str(arguments):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
for line in sys.stdin:  # each in a process of its own, which has loaded everything already
    step, place = line.rstrip().split(" ", 1)
    left = int(step)
    if not (child := os.fork()):
        sys.addaudithook(hook)
        compact(Place(Path(place)), date(2026, 11, 18), {now})
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOST_STEPS = 60


@pytest.fixture
def compacted():
    """How a compaction ended that is killed before so many steps; 0: never."""
    command = [sys.executable, "-c", COMPACTER.format(now=NOW)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:

        def run(place, step=0):
            running.stdin.write(f"{step} {place}\n")
            running.stdin.flush()
            return int(running.stdout.readline())

        yield run
        running.stdin.close()


def test_a_power_cut_before_any_step_of_a_compaction_changes_no_count(place, tmp_path, compacted):
    before = text(place)
    for step in range(1, MOST_STEPS):
        copy = tmp_path / f"cut-{step}"
        shutil.copytree(place, copy)
        ended = compacted(copy, step)
        assert text(copy) == before, step
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        if step % 4 == 1:
            assert compacted(copy) == 0
            assert text(copy) == before, step
    assert ended == 0
    assert step > 4, "the cuts are felt"
    names = [path.name for path in (copy / folder_of(DAYS[1])).iterdir() if "manifest" not in path.name]
    assert len(names) == 3
    assert all(name.startswith("fleet-") for name in names)


@pytest.mark.parametrize("engine", ["duckdb", "sqlite"])
@pytest.mark.parametrize(("name", "beside"), [("north*", "north-2"), ("north?", "north2"), ("[n]", "n"), ("**", "x")])
def test_the_name_of_a_place_is_no_pattern(tmp_path, engine, name, beside):
    """Nothing of the folder beside it, which the pattern would match, is read."""
    for form in ("jsonl.gz", "parquet"):
        for folder in (name, beside):
            (tmp_path / form / folder).mkdir(parents=True)
            simulate(tmp_path / form / folder, 2, DAYS[-1:], 17 + (folder == beside), 0.05, form, lambda _: None)
        plain = Path(shutil.copytree(tmp_path / form / name, tmp_path / form / "plain"))
        place = tmp_path / form / name
        whole = text(plain, period="day", engine=engine)
        assert json.loads(whole)["complete"]
        assert text(place, period="day", engine=engine) == whole
        assert compact(Place(place), DAYS[-1], NOW)
        assert text(place, period="day", engine=engine) == whole


def test_a_place_whose_name_is_no_text_is_one_line(made, tmp_path):
    place = shutil.copytree(made[0], tmp_path / os.fsdecode(b"north-\xff"))
    with pytest.raises(UsageError, match=r"north-\\udcff': its name is not UTF-8; rename it"):
        build(place)


def test_a_device_with_two_troubles_is_one_and_a_trouble_of_no_device_is_none(place):
    compact(Place(place), DAYS[1], NOW)
    (path,) = place.rglob("fleet-*.encounter.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    for gone in of_day(place, DAYS[0], "sim-00003", ""):
        gone.unlink()
    report = build(place)
    kinds = {kind for device, _, kind in troubles(report) if device == "sim-00003"}
    assert len(kinds) > 1
    assert "" in {device for device, _, _ in troubles(report)}
    found = report["devices"]
    assert found["silent"] + found["troubled"] == found["known"] == 5
    assert "5 of 5 devices are missing or not in order" in render_fleet_html(report)


def test_an_entrance_has_the_name_it_was_given_last(place):
    for day, name in zip(DAYS, ("Gate", "Zoo", "Arch"), strict=True):
        forge(place, "sim-00000", lambda row, name=name: [row | {"entrance": name}], "cover", day)
    (device,) = [row for row in build(place)["by_device"] if row["device"] == "sim-00000"]
    assert [row["entrance"] for row in device["by_camera"]] == ["Arch"]


def test_many_files_with_a_fault_take_time_in_proportion():
    intake = Intake()
    for number in range(4000):
        sent = Sent(SimpleNamespace(local_day="2026-11-18"), Path(f"{number}.json"), Name(f"d-{number}", 1, "", ""))
        intake.counted.append(sent)
        intake.parts[sent.path] = [Part(Path(f"{number}.jsonl.gz"), "cover", 1, "", Counter())]
    started = time.process_time()
    intake._leave_out([Fault(Path(f"{number}.jsonl.gz"), "file", "bad") for number in range(4000)])
    assert time.process_time() - started < 2
    assert (intake.counted, len(intake.troubles)) == ([], 4000)


def test_a_place_without_exports_is_one_line(tmp_path):
    with pytest.raises(Unavailable, match="name the folder that holds record/v=1"):
        build(tmp_path)
    (tmp_path / "record/v=1").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds no exported day"):
        build(tmp_path)


def test_the_page_shows_what_is_missing_first_and_escapes_what_devices_say(tmp_path):
    site = Site(tmp_path)
    report = site.settings.report.model_copy(update={"site": "<script>alert(1)</script>"})
    site.settings = site.settings.model_copy(update={"report": report})
    site.busy().close().export()
    page = render_fleet_html(build(site.place, "day", expected=frozenset(["door-9"])))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.index("door-9") < page.index("By hour") < page.index("By device")
    assert "http" not in page.replace("http-equiv", "")
    report = build(site.place, "day")
    report["by_hour"][9] |= {"judged": 13_709, "correct": 13_709}
    assert ">14k</text>" in render_fleet_html(report), "numbers below bars do not run into one another"
    many = render_fleet_html(build(site.place, "day", expected=frozenset(f"door-{n:03d}" for n in range(100))))
    assert many.count("sent nothing of this day") == 1, "the answer is not pushed down by what is missing"
    assert "sent nothing of this day: door-000, door-001" in many
    assert "and 80 more, which the CSV names" in many


def test_the_table_has_a_row_for_everything_and_runs_no_formula(place):
    report = build(place, expected=frozenset(["door-9"]))
    report["by_device"][0]["site"] = "=1+1"
    rows = list(csv.DictReader(io.StringIO(render_fleet_csv(report))))
    counts = Counter(row["record"] for row in rows)
    assert (counts["week"], counts["day"], counts["hour"], counts["device"]) == (1, 7, 24, 5)
    assert rows[0]["record"] == "silent"
    assert "'=1+1" in {row["site"] for row in rows}


def test_the_command_writes_page_table_and_json(place, tmp_path):
    for form in ("html", "csv", "json"):
        out = tmp_path / f"report.{form}"
        arguments = ["report", "2026-11-19", "--from", str(place), "--format", form, "--out", str(out), "--week"]
        done = CliRunner().invoke(fleet, arguments)
        assert (done.exit_code, out.stat().st_size > 1000) == (0, True), done.output


def test_a_list_of_devices_is_read(place, tmp_path):
    (tmp_path / "ids").write_text("sim-00000 # the front\n\n# none\ndoor-9\n")
    arguments = ["report", "2026-11-19", "--from", str(place), "--format", "json", "--devices", str(tmp_path / "ids")]
    report = json.loads(CliRunner().invoke(fleet, arguments).stdout)
    assert report["devices"]["known"] == 6


def test_coverage_that_came_late_counts_once(tmp_path):
    site = Site(tmp_path)
    begin, _ = span(DAY)
    site.store.write([encounter(1, begin + 9 * HOUR, "correct"), *watched(begin + 7 * HOUR, begin + 9 * HOUR)])
    site.close().export()
    site.store.write(watched(begin + 9 * HOUR, begin + 9 * HOUR + HOUR // 2))
    site.export()
    (device,) = build(site.place, "day")["by_device"]
    door = next(row for row in device["by_camera"] if row["camera"] == "door")
    assert (door["open_s"], door["watched_s"]) == (13 * 3600, 2 * 3600 + 1800)
