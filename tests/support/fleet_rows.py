"""Made-up rows of many devices, in several versions and files, and an independent count of what is true of them."""

from collections import Counter

from edged.export.files import encode
from edged.export.schema import COVER, ENCOUNTER
from edged.fleet.engines import Question

DAYS = ("2026-11-19", "2026-11-20")
OUTCOMES = ("correct", "incorrect", "none", "uncertain")


def made_up_rows(chance, devices, passages):
    """The true rows: of each device and day so many passages, and events beside them."""
    rows = []
    for device in range(devices):
        for day in DAYS:
            for number in range(passages):
                kind = "mask" if number % 7 == 6 else "passage"
                rows.append(_row(chance, f"dev-{device:04d}", day, number, kind))
    return rows


def _row(chance, device, day, number, kind):
    quarter = chance.randrange(24, 84)
    row = dict.fromkeys(ENCOUNTER, 0)
    row |= {name: "" for name, kind_of in ENCOUNTER.items() if kind_of == "VARCHAR"}
    return row | {
        "schema_v": 1,
        "site": "Site",
        "device_id": device,
        "camera": chance.choice(["door", "gate"]),
        "entrance": "Door",
        "event_id": f"{device}-{day}-{number:06d}",
        "seq": 1,
        "kind": kind,
        "outcome": chance.choice(OUTCOMES if kind == "passage" else OUTCOMES[1:3]),
        "started_ms": 1_795_000_000_000 + number,
        "local_day": day,
        "local_hour": quarter // 4,
        "quarter": quarter,
        "in_open": int(chance.random() < 0.9),
        "clock_ok": 1,
    }


def made_up_cover(chance, devices):
    """Coverage of both cameras of each device by hour; of some hours in two versions, the later one watched for longer."""
    rows = []
    for device in range(devices):
        for day in DAYS:
            for camera in ("door", "gate"):
                for hour in range(6, 21):
                    row = dict.fromkeys(COVER, 0) | {name: "" for name, kind in COVER.items() if kind == "VARCHAR"}
                    row |= {"device_id": f"dev-{device:04d}", "camera": camera, "local_day": day, "local_hour": hour}
                    row |= {"open_s": 3600, "watched_s": chance.randrange(3000), "seq": 1}
                    rows += [row, row | {"watched_s": 3600, "seq": 2}] if chance.random() < 0.2 else [row]
    chance.shuffle(rows)
    return rows


def versions(chance, rows):
    """The true rows among duplicates (some 13 of 100), versions that were put right, and rows that were taken back."""
    found = []
    for row in rows:
        if chance.random() < 0.1:
            found.append(row | {"outcome": chance.choice(OUTCOMES)})
            row = row | {"seq": 2}
        found.append(row)
        if chance.random() < 0.13:
            found.append(row)
        if chance.random() < 0.02:
            taken = row | {"event_id": row["event_id"] + "-void"}
            found += [taken, taken | {"seq": row["seq"] + 1, "outcome": "void"}]
    chance.shuffle(found)
    return found


def counted(rows):
    """By device, day, whether in open hours, and outcome; mask events in open hours apart."""
    cells = Counter()
    for row in rows:
        where = "in" if row["in_open"] else "out"
        if row["kind"] == "mask":
            where = "violations" if row["in_open"] else None
        if where:
            cells[row["device_id"], row["local_day"], where, row["outcome"]] += 1
    return cells


def question(folder, rows, files, form="jsonl.gz", again=True, cover=(), unasked=()):
    """A question about these rows, dealt out to so many files."""
    paths = {"encounter": [], "cover": []}
    for table, whole in (("encounter", rows), ("cover", cover)):
        for number in range(files if whole else 0):
            path = folder / f"rows-{files}-{len(whole)}-{number}.{table}.{form}"
            path.write_bytes(encode(whole[number::files], table, form, folder))
            paths[table].append(path)
    keys = {(row["device_id"], row["local_day"]) for row in rows}
    return Question(paths, sorted(keys) if again else [], DAYS[0], DAYS[-1], unasked=unasked)
