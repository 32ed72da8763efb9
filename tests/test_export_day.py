"""What is exported of a closed day: its rows, its manifests, and late changes of it."""

import gzip
import json
import random
import re
import resource
import shutil
import signal
import subprocess
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise, product

import pytest
from report_days import HOUR, MINUTE, config, encounter, new_store, passages, span, store_reports, violation, watched

from edged.errors import Failed, Unavailable
from edged.export import Exporter
from edged.export.files import decode
from edged.export.manifest import Manifest, parse_name, sha256
from edged.export.schema import COVER, ENCOUNTER
from edged.store import EncounterRow, ReportRow, StoreReader

DAY = date(2026, 11, 19)
FORMATS = ["jsonl.gz", "parquet"]


class Site:
    """A store with a closed day, and a folder to export it to."""

    def __init__(self, folder, form="jsonl.gz", zone="Europe/Madrid", **export):
        self.place = folder / "place"
        self.place.mkdir()
        self.settings = config(zone, ("door", "gate"), open_from="07:00", open_until="20:00")
        self.settings = self.settings.model_copy(
            update={
                "store": self.settings.store.model_copy(update={"path": folder / "edged.db"}),
                "export": self.settings.export.model_copy(update={"to": str(self.place), "format": form, **export}),
            }
        )
        self.store = new_store(folder)
        self.said = []
        self.now = span(DAY, zone)[1] + HOUR

    def busy(self, day=DAY, seed=1, cameras=("door", "gate")):
        begin, _ = span(day)
        opened = [(begin + 6 * HOUR, begin + 21 * HOUR)]
        changes = []
        for number, camera in enumerate(cameras):
            odds = {"correct": 80, "incorrect": 8, "none": 7, "uncertain": 5}
            changes += passages(
                random.Random(seed + number), opened, lambda at: 0.4, odds, camera, 1 + 100_000 * (seed + number)
            )
            changes += watched(begin + 7 * HOUR, begin + 19 * HOUR, camera)
        self.store.write(changes)
        return self

    def close(self, *days):
        store_reports(self.store, self.settings, days or [DAY])
        return self

    def export(self, day=None):
        Exporter(self.settings, StoreReader(self.store.path), self.now, self.said.append).export(day)
        return self

    def manifests(self, day=DAY):
        paths = sorted((self.place / f"record/v=1/dt={day}").glob("*.manifest.json"))
        return [Manifest.model_validate_json(path.read_bytes()) for path in paths]

    def rows(self, table="encounter", day=DAY):
        folder = self.place / f"record/v=1/dt={day}"
        files = [file for manifest in self.manifests(day) for file in manifest.files if file.table == table]
        return [row for file in files for row in decode(folder / file.name, table)]

    def files(self):
        return {path.name: path.read_bytes() for path in self.place.rglob("*") if path.is_file()}


@pytest.fixture(params=FORMATS)
def site(request, tmp_path):
    return Site(tmp_path, request.param)


def test_a_closed_day_becomes_files_that_the_manifest_vouches_for(site):
    site.busy().close().export()
    (manifest,) = site.manifests()
    folder = site.place / f"record/v=1/dt={DAY}"
    for file in manifest.files:
        data = (folder / file.name).read_bytes()
        assert (file.sha256, file.bytes) == (sha256(data), len(data))
        assert parse_name(file.name).sha8 == file.sha256[:8]
        assert len(list(decode(folder / file.name, file.table))) == file.rows
    assert (manifest.number, manifest.seq, manifest.previous, manifest.local_day) == (1, 1, None, str(DAY))
    assert len(list(folder.iterdir())) == 3


def test_rows_have_the_documented_columns_in_their_order_and_no_others(site):
    site.busy().close().export()
    assert {tuple(row) for row in site.rows()} == {tuple(ENCOUNTER)}
    assert {tuple(row) for row in site.rows("cover")} == {tuple(COVER)}
    kinds = {"INTEGER": int, "BIGINT": int, "VARCHAR": str}
    assert all(type(row[name]) is kinds[kind] for row in site.rows() for name, kind in ENCOUNTER.items())


def test_the_sums_are_those_of_the_days_report(site):
    site.busy().close().export()
    report = json.loads(StoreReader(site.store.path).report(str(DAY))["report"])
    (manifest,) = site.manifests()
    states = ("correct", "incorrect", "none", "uncertain")
    assert {name: getattr(manifest.sums, name) for name in states} == {name: report[name] for name in states}
    assert manifest.sums.outside == report["outside_open_hours"]["encounters"] > 0
    cover = site.rows("cover")
    opened, seen = sum(row["open_s"] for row in cover), sum(row["watched_s"] for row in cover)
    assert round(100 * seen / opened, 1) == report["coverage_percent"]
    events = Counter(row["outcome"] for row in site.rows() if row["kind"] == "mask" and row["in_open"])
    assert events == {name: report["violations"][name] for name in ("incorrect", "none")}


def test_a_day_without_its_report_is_not_closed(site):
    site.busy().export()
    assert site.files() == {}
    with pytest.raises(Failed, match="2026-11-19: the store has no report"):
        site.export(DAY)


def test_exporting_again_changes_nothing(site):
    site.busy().close().export()
    before = site.files()
    site.export().export(DAY)
    assert site.files() == before


def test_each_manifest_names_the_one_before(site):
    days = [DAY - timedelta(days=2), DAY - timedelta(days=1), DAY]
    for number, day in enumerate(days):
        site.busy(day, seed=10 * number + 1)
    site.close(*days).export()
    manifests = [site.manifests(day)[0] for day in days]
    assert [one.number for one in manifests] == [1, 2, 3]
    for before, after in pairwise(manifests):
        text = (site.place / f"record/v=1/dt={before.local_day}" / after.previous.name).read_bytes()
        assert (after.previous.local_day, after.previous.sha256) == (before.local_day, sha256(text))
        assert after.chain == before.chain


def test_late_changes_give_one_more_file_with_a_higher_seq(site):
    site.busy().close().export()
    first = site.rows()
    begin, _ = span(DAY)
    judged = next(row for row in first if row["kind"] == "passage")
    site.store.write(
        [
            encounter(999_999, begin + 12 * HOUR, "none"),
            encounter(int(judged["event_id"].split("-")[1]), judged["started_ms"], "uncertain", judged["camera"]),
            *watched(begin + 19 * HOUR, begin + 19 * HOUR + 30 * MINUTE),
        ]
    )
    site.export()
    one, two = site.manifests()
    assert (two.number, two.seq, two.previous.sha256[:8] in two.previous.name) == (2, 2, True)
    late = [row for row in site.rows() if row["seq"] == 2]
    assert {(row["event_id"], row["outcome"]) for row in late} == {
        ("door-00999999", "none"),
        (judged["event_id"], "uncertain"),
    }
    (cover,) = [row for row in site.rows("cover") if row["seq"] == 2]
    assert (cover["camera"], cover["local_hour"], cover["watched_s"]) == ("door", 19, 1800)
    assert site.export().manifests() == [one, two]


def test_what_a_clock_moves_to_another_day_is_void_in_the_first(site):
    site.busy().close().export()
    moved = next(row for row in site.rows() if row["kind"] == "passage")
    begin, _ = span(DAY + timedelta(days=1))
    site.store.write([encounter(int(moved["event_id"].split("-")[1]), begin + 9 * HOUR, "correct", moved["camera"])])
    site.now += 24 * HOUR
    site.close(DAY + timedelta(days=1)).export()
    (void,) = [row for row in site.rows() if row["seq"] == 2]
    assert (void["event_id"], void["outcome"]) == (moved["event_id"], "void")
    (there,) = site.rows(day=DAY + timedelta(days=1))
    assert (there["event_id"], there["seq"], there["outcome"]) == (moved["event_id"], 1, "correct")


def test_what_the_store_has_lost_or_deleted_by_its_age_is_not_taken_back(site):
    site.busy().close().export()
    before = site.files()
    site.store.prune(span(DAY)[0] + 13 * HOUR)
    site.export()
    assert site.files() == before


def test_a_day_waits_for_what_goes_on_but_not_for_ever(site):
    begin, end = span(DAY)
    site.store.write([*watched(begin, end), *violation(1, end - 1000, lasted=None)])
    site.close().export()
    assert site.files() == {}
    assert site.said == ["2026-11-19: waits, since something that began then still goes on"]
    site.now = end + 25 * HOUR
    assert len(site.export().manifests()) == 1


def test_a_camera_that_follows_no_masks_has_passages_but_no_verdicts(tmp_path):
    site = Site(tmp_path)
    cameras = {name: one.model_copy(update={"profile": "driver"}) for name, one in site.settings.camera.items()}
    site.settings = site.settings.model_copy(update={"camera": cameras})
    begin, _ = span(DAY)
    site.store.write([*watched(begin, begin + HOUR), encounter(1, begin + 12 * HOUR, "uncertain", votes={})])
    site.close().export()
    assert [row["outcome"] for row in site.rows()] == ["unasked"]
    assert site.manifests()[0].sums.uncertain == 0


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 10, 25), 25), (date(2026, 3, 29), 23)])
def test_days_with_a_change_of_the_clocks_keep_all_their_hours(tmp_path, day, hours):
    site = Site(tmp_path)
    report = site.settings.report.model_copy(update={"open_from": "00:00", "open_until": "24:00"})
    site.settings = site.settings.model_copy(update={"report": report})
    begin, end = span(day)
    site.now = end + HOUR
    site.store.write([*watched(begin, end), *(encounter(n, begin + n * HOUR, "correct") for n in range(hours))])
    site.close(day).export()
    door = [row for row in site.rows("cover", day) if row["camera"] == "door"]
    assert sum(row["open_s"] for row in door) == sum(row["watched_s"] for row in door) == 3600 * hours
    assert len({row["quarter"] for row in site.rows(day=day)}) == hours
    assert len(site.rows(day=day)) == hours


def test_files_are_deleted_by_their_age_and_the_chain_goes_on(tmp_path):
    site = Site(tmp_path, keep_days=7)
    site.busy().close().export()
    site.now += 30 * 24 * HOUR
    later = DAY + timedelta(days=30)
    site.busy(later, seed=50).close(later).export().export()
    assert [path.name for path in (tmp_path / "export/record/v=1").iterdir()] == [f"dt={later}"]
    assert (site.manifests(later)[0].number, site.manifests(later)[0].previous.local_day) == (2, str(DAY))


def test_files_are_deleted_by_their_age_also_while_the_place_is_away(tmp_path):
    site = Site(tmp_path, keep_days=7)
    site.place.rmdir()
    with pytest.raises(Unavailable, match="1 exports wait"):
        site.busy().close().export()
    site.now += 30 * 24 * HOUR
    later = DAY + timedelta(days=30)
    with pytest.raises(Unavailable, match="2 exports wait"):
        site.busy(later, seed=50).close(later).export()
    assert [path.name for path in (tmp_path / "export/record/v=1").iterdir()] == [f"dt={later}"]


def damaged(path, damage):
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        altered = data[:40] + bytes([data[40] ^ 1]) + data[41:]
        path.write_bytes({"cut": data[:-9], "empty": b"", "altered": altered}[damage])


@pytest.mark.parametrize(
    ("ending", "damage"),
    [
        *product(("encounter", "cover", "manifest"), ("cut", "altered", "empty")),
        ("encounter", "gone"),
        ("cover", "gone"),
    ],
)
@pytest.mark.parametrize("sent", [True, False])
def test_an_export_that_is_damaged_here_is_set_aside_and_its_day_exported_again(site, tmp_path, ending, damage, sent):
    """Neither it nor what comes after it is held up, and no passage counts twice where it was sent whole before."""
    days = [DAY - timedelta(days=1), DAY]
    for number, day in enumerate(days):
        site.busy(day, seed=10 * number + 1)
    site.close(days[0])
    if sent:
        site.export()
    else:
        site.place.rename(tmp_path / "away")
        with pytest.raises(Unavailable, match="1 exports wait"):
            site.export()
        (tmp_path / "away").rename(site.place)
    before = site.files()
    (path,) = (tmp_path / "export/record").rglob(f"*.{ending}.*")
    damaged(path, damage)
    site.said.clear()
    site.close(days[1]).export()
    (said,) = [line for line in site.said if "is damaged" in line]
    assert re.search(rf"{path.name}: is damaged.*moved to .*export/damaged/dt={days[0]}\. .*exported again", said)
    assert {name: data for name, data in site.files().items() if name in before} == before
    whole = {row["event_id"]: row["seq"] for row in site.rows(day=days[0])}
    assert [one.number for day in days for one in site.manifests(day)] == [*([1] if sent else []), 2, 3]
    assert set(whole.values()) == {2}
    assert len(site.rows(day=days[0])) == len(whole) * (2 if sent else 1)
    site.said.clear()
    after = site.files()
    site.export().export(days[0])
    assert (site.files(), [line for line in site.said if "is damaged" in line]) == (after, [])


def test_what_is_set_aside_is_bounded_and_no_number_is_given_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("edged.export.spool.MOST_SET_ASIDE", 2)
    site = Site(tmp_path).busy().close().export()
    for number in range(1, 5):
        (path,) = (tmp_path / "export/record").rglob("*.manifest.json")
        path.write_bytes(b"")
        site.export()
        assert [one.number for one in site.manifests()] == list(range(1, number + 2))
    kept = sorted(path.name for path in (tmp_path / "export/damaged").rglob("*.manifest.json"))
    assert [parse_name(name).number for name in kept] == [3, 4]
    shutil.rmtree(tmp_path / "export/damaged")
    shutil.rmtree(tmp_path / "export/record")
    site.export()
    assert [one.number for one in site.manifests()][-1] == 6


def test_a_damaged_export_of_a_day_that_the_store_has_deleted_is_set_aside_alone(tmp_path):
    site = Site(tmp_path).busy()
    stored = ReportRow(
        str(DAY), "Europe/Madrid", site.now, "{}", "", counted=StoreReader(site.store.path).counted(*span(DAY))
    )
    site.store.write([stored])
    site.export()
    before = site.files()
    damaged(next((tmp_path / "export").rglob("*.encounter.*")), "cut")
    site.store.prune(span(DAY)[0] + 13 * HOUR)
    assert site.export().files() == before
    with pytest.raises(
        Failed, match=r"2026-11-19: the store does not have all of this day any more \(store\.retention_days"
    ):
        site.export(DAY)


def test_a_device_that_is_given_another_id_sends_every_day_once(tmp_path):
    """The numbers of its manifests begin anew; what was not sent under the id before is sent, too."""
    site, days = Site(tmp_path, keep_days=7), [DAY + timedelta(days=number) for number in range(5)]

    def close(number):
        begin, end = span(days[number])
        site.store.write([encounter(number, begin + 9 * HOUR, "none"), *watched(begin + 7 * HOUR, begin + 9 * HOUR)])
        site.close(days[number]).now = end + HOUR

    for number in range(2):
        close(number)
        site.export()
    close(2)
    site.place.rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="1 exports wait"):
        site.export()
    (tmp_path / "away").rename(site.place)
    device = site.settings.device.model_copy(update={"id": "entrance-2"})
    site.settings = site.settings.model_copy(update={"device": device})
    for number in (3, 4):
        close(number)
        site.export()
    sent = [(one.device_id, one.number, str(day)) for day in days for one in site.manifests(day)]
    first, second = "entrance-1", "entrance-2"
    assert sent == [(first, 1, str(days[0])), (first, 2, str(days[1])), (first, 3, str(days[2])),
                    (second, 1, str(days[3])), (second, 2, str(days[4]))]  # fmt: skip
    before = site.files()
    site.export()
    assert site.files() == before
    site.now += 30 * 24 * HOUR
    site.close(DAY + timedelta(days=34)).export()
    assert {path.name.partition("-00")[0] for path in (tmp_path / "export").rglob("*.manifest.json")} == {second}


@pytest.mark.parametrize("value", ['"abc"', "null", "1e400", "[]", "true"])
@pytest.mark.parametrize("name", ["sent", "seen"])
def test_progress_that_is_damaged_is_forgotten(tmp_path, name, value):
    site = Site(tmp_path).busy().close().export()
    sent, known = site.files(), {"sent": {}, "seen": {}}
    known[name] = {str(site.place) if name == "sent" else str(DAY): "VALUE"}
    (tmp_path / "export/progress.json").write_text(json.dumps(known).replace('"VALUE"', value))
    assert site.export().files() == sent


def test_a_clock_that_leapt_ahead_deletes_no_file_that_waits(tmp_path):
    site = Site(tmp_path, keep_days=7)
    site.place.rmdir()
    site.busy().close()
    site.busy(DAY + timedelta(days=1), seed=50).close(DAY + timedelta(days=1))
    for days in (2, 3650):
        site.now = span(DAY)[0] + days * 24 * HOUR + HOUR
        with pytest.raises(Unavailable, match="2 exports wait"):
            site.export()
    assert len(list((tmp_path / "export/record/v=1").iterdir())) == 2


def test_what_a_power_cut_left_of_a_late_change_is_deleted_with_its_day(tmp_path):
    site = Site(tmp_path, keep_days=7)
    site.busy().close().export()
    scratch = tmp_path / f"export/record/v=1/dt={DAY}/.edged-scratch"
    scratch.mkdir()
    (scratch / "rows.jsonl.gz").touch()
    site.now += 30 * 24 * HOUR
    later = DAY + timedelta(days=30)
    site.busy(later, seed=50).close(later).export()
    assert [path.name for path in (tmp_path / "export/record/v=1").iterdir()] == [f"dt={later}"]


def test_a_manifest_can_be_signed_and_the_signature_checked(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=60)
    site = Site(tmp_path, sign_key_file=key)
    site.busy().close().export()
    (manifest,) = (site.place / f"record/v=1/dt={DAY}").glob("*.manifest.json")
    allowed = tmp_path / "allowed"
    allowed.write_text("entrance-1 " + key.with_suffix(".pub").read_text())
    check = ["ssh-keygen", "-Y", "verify", "-n", "edged-export", "-I", "entrance-1", "-f", allowed]
    check += ["-s", f"{manifest}.sig"]
    assert subprocess.run(check, input=manifest.read_bytes(), capture_output=True, timeout=60).returncode == 0
    altered = manifest.read_bytes().replace(b'"correct":', b'"correct":1')
    assert subprocess.run(check, input=altered, capture_output=True, timeout=60).returncode != 0


def test_a_key_that_cannot_sign_is_one_line(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", key], check=True, timeout=60)
    with pytest.raises(Failed, match=r"key export\.sign_key_file = '.*key': ssh-keygen cannot sign"):
        Site(tmp_path, sign_key_file=key).busy().close().export()


def test_a_place_that_is_not_there_is_made_by_nobody_and_tried_again(site):
    site.busy().close()
    site.place.rmdir()
    with pytest.raises(Unavailable, match=r"no such folder; .* \(1 exports wait, the oldest of 2026-11-19\)"):
        site.export()
    site.place.mkdir()
    assert len(site.export().manifests()) == 1


def test_a_full_disk_is_one_line_and_the_day_is_exported_once_there_is_room(site, tmp_path):
    """Whoever writes: DuckDB raises errors of its own."""
    site.store.write([encounter(1, span(DAY)[0] + 12 * HOUR, "none")])
    site.close()
    parquet = site.settings.export.format == "parquet"
    what, room = ("Parquet ", 1500) if parquet else ("", 100)  # for what DuckDB reads, and not for what it writes
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(
            Unavailable, match=rf"export/record/v=1/dt=2026-11-19: {what}cannot be written .*it is tried again"
        ):
            site.export()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handled)
    assert len(site.export().manifests()) == 1
    assert not [path for path in (tmp_path / "export").rglob("*") if path.name.startswith(".edged")]


def test_old_files_that_cannot_be_deleted_hide_nothing(tmp_path, monkeypatch):
    site = Site(tmp_path, keep_days=7).busy().close().export()
    monkeypatch.setattr("edged.export.spool._remove", lambda path: path.rmdir())  # of a file: OSError
    site.now += 30 * 24 * HOUR
    later = DAY + timedelta(days=30)
    site.busy(later, seed=50).close(later).export()
    assert any(
        "cannot be deleted (Not a directory); see that the user edged may write there" in line for line in site.said
    )
    assert len(site.manifests(later)) == 1


def test_json_lines_need_no_library(site):
    if site.settings.export.format == "jsonl.gz":
        site.busy().close().export()
        (path,) = site.place.rglob("*.encounter.jsonl.gz")
        assert json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])["schema_v"] == 1


def test_two_exports_at_once_are_refused(site, tmp_path):
    from edged.export.spool import Spool

    site.busy().close()
    with Spool(tmp_path / "export", "entrance-1").locked(), pytest.raises(Failed, match="another edged export"):
        site.export()


def test_a_passage_has_its_figures(site):
    begin, _ = span(DAY)
    row = encounter(7, begin + 8 * HOUR + 20 * MINUTE, "incorrect", score=0.9126, largest_face=91.6, clock_ok=False)
    assert isinstance(row, EncounterRow)
    site.store.write([row])
    site.close().export()
    (found,) = site.rows()
    assert found | {"policy_sha": "", "model_id": ""} == {
        "schema_v": 1, "site": "Entrance 1", "device_id": "entrance-1", "camera": "door", "entrance": "door",
        "event_id": "door-00000007", "seq": 1, "kind": "passage", "outcome": "incorrect",
        "started_ms": begin + 8 * HOUR + 20 * MINUTE, "ended_ms": begin + 8 * HOUR + 20 * MINUTE + 4000,
        "local_day": "2026-11-19", "local_hour": 8, "tz": "Europe/Madrid", "votes": 5, "score_milli": 913, "face_px": 92,
        "merged": 0, "suppressed": 0, "clock_ok": 0, "end_reason": "", "model_id": "", "policy_sha": "",
        "in_open": 1, "quarter": 33,
    }  # fmt: skip
