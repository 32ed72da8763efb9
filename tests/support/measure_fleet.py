"""Measures exports and fleet reports: `python -m support.measure_fleet`, all in a temporary folder; prints a table."""

import importlib.util
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from report_days import HOUR, encounter, span, violation, watched

from edged.export.files import duckdb_connection, literal
from edged.export.manifest import DataFile, Manifest, Sums, folder_of, named, sha256
from edged.fleet.engines import ask
from support.fleet_rows import counted, made_up_rows, question, versions
from support.peak import PEAK_MB

if TYPE_CHECKING:
    from test_export_day import Site

DAY = "2026-11-19"
ROWS = """
SELECT 1 AS schema_v, 'Site ' || d AS site, 'dev-' || lpad(d::VARCHAR, 5, '0') AS device_id, door AS camera, door AS entrance,
  upper(substr(md5(d * 4000 + i || ''), 1, 26)) AS event_id, 1 AS seq, 'passage' AS kind,
  CASE WHEN h % 100 < 85 THEN 'correct' WHEN h % 100 < 90 THEN 'incorrect' WHEN h % 100 < 95 THEN 'none' ELSE 'uncertain' END
    AS outcome,
  1795060800000 + i * 23400 AS started_ms, (1795060800000 + i * 23400 + h % 9000)::BIGINT AS ended_ms, '{day}' AS local_day,
  (7 + i * 13 // 2000)::INTEGER AS local_hour, 'Europe/Berlin' AS tz, (3 + h % 12)::INTEGER AS votes,
  (700 + h % 300)::INTEGER AS score_milli, (40 + h % 90)::INTEGER AS face_px, 0 AS merged, 0 AS suppressed, 1 AS clock_ok,
  '' AS end_reason, '5c1f5c1f5c1f5c1f' AS model_id, '09ab09ab09ab09ab' AS policy_sha, 1 AS in_open,
  (28 + i * 52 // 2000)::INTEGER AS quarter
FROM (SELECT *, hash(d * 4000 + i) % 1000000 AS h, CASE WHEN i % 3 = 0 THEN 'side' ELSE 'main' END AS door
      FROM range({first}, {last}) AS devices(d), range(2000) AS passages(i))
"""
COVER = """
SELECT 'Site ' || d AS site, 'dev-' || lpad(d::VARCHAR, 5, '0') AS device_id, door AS camera, door AS entrance,
  '{day}' AS local_day, h::INTEGER AS local_hour, 3600 AS open_s, 3500 AS watched_s, 0 AS paused_s, '' AS reason, 1 AS seq
FROM range({first}, {last}) AS devices(d), range(7, 20) AS hours(h), (VALUES ('main'), ('side')) AS doors(door)
"""


AT_ONCE, WRITERS = 100, 2
"""Devices whose files are made in one go, and how many processes make them."""


def write_day(place: Path, devices: int, day: str) -> None:
    """One file of each table for each device, 2,000 passages each, with manifests."""
    folder = place / folder_of(day)
    folder.mkdir(parents=True)
    with ProcessPoolExecutor(WRITERS, multiprocessing.get_context("spawn")) as pool:
        firsts = range(0, devices, AT_ONCE)
        lasts = [min(devices, first + AT_ONCE) for first in firsts]
        for _ in pool.map(_write_devices, [folder] * len(lasts), firsts, lasts, [day] * len(lasts)):
            pass


def _write_devices(folder: Path, first: int, last: int, day: str) -> None:
    made = folder / f"made-{first}"
    files, sums = defaultdict(list), defaultdict(dict)
    with duckdb_connection("900MB", 1) as connection:
        for table, text in (("encounter", ROWS), ("cover", COVER)):
            sql = text.format(first=first, last=last, day=day)
            order = " ORDER BY device_id, event_id" if table == "encounter" else ""
            connection.execute(f"CREATE OR REPLACE TABLE made AS {sql}{order}")
            how = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (device_id), WRITE_PARTITION_COLUMNS true"
            connection.execute(f"COPY made TO {literal(made)} ({how})")
            for path in made.rglob("*.parquet"):
                device, data = path.parent.name.removeprefix("device_id="), path.read_bytes()
                name = named(device, 1, data, f"{table}.parquet")
                path.rename(folder / name)
                count = 2000 if table == "encounter" else 26
                files[device].append(DataFile(name=name, table=table, rows=count, bytes=len(data), sha256=sha256(data)))
            shutil.rmtree(made)
            if table == "encounter":
                counts = "SELECT device_id, outcome, count(*) FROM made GROUP BY device_id, outcome"
                for device, outcome, count in connection.execute(counts).fetchall():
                    sums[device][outcome] = count
    for device in files:
        _write_manifest(folder, device, day, files[device], sums[device])


def _write_manifest(folder: Path, device: str, day: str, files: list[DataFile], sums: dict[str, int]) -> None:
    manifest = Manifest(
        schema_v=1, device_id=device, site="Site", chain="0" * 16, number=1, seq=1, local_day=day, tz="Europe/Berlin",
        created_ms=1_795_150_000_000, files=tuple(files), sums=Sums(**sums), edged="0", models={}, config_sha256=None,
        previous=None,
    )  # fmt: skip
    data = manifest.text()
    (folder / named(device, 1, data, "manifest.json")).write_bytes(data)


REPORT = """
import json, sys, time
from datetime import date
from pathlib import Path
from edged.fleet.place import Place
from edged.fleet.report import ReportRequest, build_fleet_report
began, cpu = time.monotonic(), time.process_time()
request = ReportRequest(sys.argv[2], date.fromisoformat(sys.argv[3]))
report = build_fleet_report(Place(Path(sys.argv[1])), request, 1_796_000_000_000)
took = time.monotonic() - began
peak = PEAK_MB
print(json.dumps([report["encounters"], len(report["troubles"]), took, time.process_time() - cpu, peak]))
"""


def report(place: Path, period: str = "day", day: str = DAY) -> str:
    """One report in a process of its own, as words."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.replace("PEAK_MB", PEAK_MB), str(place), period, day],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    passages, troubles, took, cpu, peak = json.loads(done.stdout)
    return f"{passages:,} passages, {troubles} troubles: {took:.1f} s ({cpu:.1f} s of CPU), {peak:.0f} MB"


def equal_integers(folder: Path) -> None:
    """231,000 shuffled rows with duplicates, superseded and void versions: every engine, cell by cell."""
    chance = random.Random(231)
    rows = made_up_rows(chance, devices=1000, passages=92)
    shuffled = versions(chance, rows)
    asked = question(folder, shuffled, files=8)
    truth, answers = counted(rows), {}
    engines = ["sqlite", "duckdb", *(["spark"] if importlib.util.find_spec("pyspark") and shutil.which("java") else [])]
    for engine in engines:
        began = time.monotonic()
        answers[engine] = ask(engine, asked)
        print(f"{engine}: {len(shuffled):,} rows, {len(rows):,} of them true: {time.monotonic() - began:.1f} s")
    cells = Counter()
    for row in answers["sqlite"]:
        if row["record"] == "device":
            for name, outcome in (("ok", "correct"), ("inc", "incorrect"), ("none", "none"), ("unc", "uncertain")):
                cells[row["device_id"], row["local_day"], "in", outcome] += row[f"{name}_sum"]
                cells[row["device_id"], row["local_day"], "out", outcome] += row[f"out_{name}_sum"]
            cells[row["device_id"], row["local_day"], "violations", "incorrect"] += row["vinc_sum"]
            cells[row["device_id"], row["local_day"], "violations", "none"] += row["vnone_sum"]
    assert all(answer == answers["sqlite"] for answer in answers.values()), "the engines differ"
    assert +cells == truth, "the engines differ from the independent count"
    print(f"equal, cell by cell, and equal to an independent count: {', '.join(engines)}")


EXPORT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from edged.config import Config
from edged.export import Exporter
from edged.store import StoreReader
settings = Config.model_validate_json(Path({settings!r}).read_text())
before, cpu = {peak}, time.process_time()
Exporter(settings, StoreReader(settings.store.path), {now}, lambda _: None).export(None)
print(time.process_time() - cpu, {peak} - before)
"""


def fill_busy_day(site: "Site", day: date) -> None:
    """20,000 passages and their events, and the day closed."""
    begin, _ = span(day)
    changes = [*watched(begin + 7 * HOUR, begin + 20 * HOUR), *watched(begin + 7 * HOUR, begin + 20 * HOUR, "gate")]
    for number in range(20_000):
        at = begin + 7 * HOUR + number * 2340
        changes.append(encounter(number, at, "none" if number % 10 == 0 else "correct"))
        if number % 10 == 0:
            changes += violation(number, at + 1200)
    site.store.write(changes)
    site.close(day)


def busy_day(folder: Path, form: str) -> None:
    """The export of 20,000 passages and their events."""
    from test_export_day import DAY as SITES_DAY
    from test_export_day import Site

    site = Site(folder, form)
    fill_busy_day(site, SITES_DAY)
    (folder / "settings.json").write_text(site.settings.model_dump_json())
    tests, now = str(Path(__file__).parents[1]), span(SITES_DAY)[1] + HOUR
    code = EXPORT.format(peak=PEAK_MB, tests=tests, settings=str(folder / "settings.json"), now=now)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    cpu, more = map(float, done.stdout.split())
    size = sum(path.stat().st_size for path in site.place.rglob("*") if path.is_file())
    print(
        f"export of 20,000 passages as {form}: {cpu:.1f} s of CPU, {more:.0f} MB more memory, {size / 1e6:.2f} MB of files"
    )


SLOPE = """
import json, sys, time
from datetime import date
from pathlib import Path
from edged.fleet.engines import ask
from edged.fleet.place import Place
first, last = map(date.fromisoformat, sys.argv[2:4])
intake = Place(Path(sys.argv[1])).read(first, last, 1_796_000_000_000)
rows = intake.settle(first, last, lambda question: ask("duckdb", question))
print(json.dumps([sum(row["ok_sum"] for row in rows if row["record"] == "device"), time.process_time()]))
"""


def slopes(place: Path, devices: int) -> None:
    """The report's counts over ever more days, 16 of which lie there; a year is reckoned from the slope."""
    for number in range(1, 17):
        write_day(place, devices, f"2026-11-{number:02d}")
    spent = {}
    for days in (1, 2, 4, 8, 16):
        command = [sys.executable, "-c", SLOPE, str(place), "2026-11-01", f"2026-11-{days:02d}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        correct, spent[days] = json.loads(done.stdout)
        print(f"{days} of 16 days of {devices} devices: {spent[days]:.1f} s of CPU, {correct:,} correct")
    slope = (spent[16] - spent[1]) / 15
    print(f"a day more costs {slope:.2f} s of CPU; 365 days, by that slope: {spent[1] + 364 * slope:.0f} s")


def main() -> None:
    large = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="edged-measure-") as made:
        folder = Path(made)
        for part in ("integers", "jsonl", "parquet"):
            (folder / part).mkdir()
        equal_integers(folder / "integers")
        busy_day(folder / "jsonl", "jsonl.gz")
        busy_day(folder / "parquet", "parquet")
        slopes(folder / "slopes", max(1, min(40, large // 25)))
        place = folder / "place"
        write_day(place, large, DAY)
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        print(f"{large:,} device-days in {2 * large:,} files, {size / 1e6:.0f} MB")
        print(f"one day, as devices sent it: {report(place)}")
        print(f"one day among 30 others: {report(_beside(place, place / folder_of(DAY)))}")
        began = time.monotonic()
        compacting = ["fleet", "compact", "--from", str(place), DAY]
        subprocess.run([sys.executable, "-m", "edged", *compacting], check=True, timeout=900, capture_output=True)
        print(f"edged fleet compact of that day: {time.monotonic() - began:.1f} s")
        print(f"one day, compacted: {report(place)}")


def _beside(place: Path, one: Path) -> Path:
    """Thirty more days beside the measured one: links to its data files, whose manifests are of another day and unread."""
    for number in range(1, 31):
        folder = place / folder_of(f"2026-10-{number:02d}")
        folder.mkdir()
        for path in one.iterdir():
            (folder / path.name).hardlink_to(path)
    return place


if __name__ == "__main__":
    main()
