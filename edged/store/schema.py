"""The tables, as numbered migrations that only ever go forwards; a release never edits an older step."""

from sqlite_utils import Database, Migrations

from edged.store.views import VIEWS

MIGRATIONS = Migrations("edged")


@MIGRATIONS(name="0001_tables")
def _tables(db: Database) -> None:
    _create_events(db)
    _create_encounters(db)
    _create_coverage(db)
    _create_outbox(db)
    db.table("reports").create(
        {"day": str, "timezone": str, "created": int, "report": str, "sha256": str},
        pk="day",
        not_null={"timezone", "created", "report", "sha256"},
    )
    db.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})


@MIGRATIONS(name="0002_outbox_by_event")
def _outbox_by_event(db: Database) -> None:
    # Retention asks for each old event whether a message of it still waits.
    db.table("outbox").create_index(["event_id"])


@MIGRATIONS(name="0003_attention_and_drowsiness")
def _attention_and_drowsiness(db: Database) -> None:
    # JSON, or NULL in passages of cameras that do not follow them; all rows from before are such.
    for column in ("attention", "drowsiness"):
        db.table("encounters").add_column(column, str)


@MIGRATIONS(name="0004_beginnings_and_clocks")
def _beginnings_and_clocks(db: Database) -> None:
    # NULL where it is not known, as in all rows from before: when the behaviour began, and in whose passage.
    db.table("events").add_column("began_at", int)
    db.table("events").add_column("encounter_id", str)
    # Minutes from before are taken as they stand: nobody noted whether the clock was set.
    db.table("coverage").add_column("clock_ok", int, not_null_default=1)
    # How often the report was made, and how many rows its day had when it was, as JSON; NULL in those from before.
    db.table("reports").add_column("revision", int, not_null_default=1)
    db.table("reports").add_column("counted", str)


@MIGRATIONS(name="0005_views_in_local_time")
def _views_in_local_time(db: Database) -> None:
    # From which instant on the site's clocks were how far ahead of UTC: SQLite knows no time zones.
    db.table("local_time").create(
        {"since": int, "offset_ms": int, "zone": str}, pk="since", not_null={"offset_ms", "zone"}
    )
    db.table("events").create_index(["encounter_id"])
    for view, sql in VIEWS.items():
        db.execute(f"CREATE VIEW {view} AS {sql}")


def _create_events(db: Database) -> None:
    db.table("events").create(
        {
            "event_id": str,
            "kind": str,
            "camera": str,
            "track": int,
            "state": str,
            "score": float,
            "votes": str,
            "started_at": int,
            "ended_at": int,
            "end_reason": str,
            "clock_ok": int,
            "details": str,
            "seq": int,
            "acked_seq": int,
        },
        pk="event_id",
        not_null={"kind", "camera", "state", "started_at", "clock_ok", "details", "seq", "acked_seq"},
        defaults={"seq": 1, "acked_seq": 0},
    )
    db.table("events").create_index(["started_at"])


def _create_encounters(db: Database) -> None:
    db.table("encounters").create(
        {
            "encounter_id": str,
            "camera": str,
            "track": int,
            "first_seen": int,
            "last_seen": int,
            "state": str,
            "score": float,
            "votes": str,
            "smallest_face": float,
            "largest_face": float,
            "closed": int,
            "clock_ok": int,
        },
        pk="encounter_id",
        not_null={"camera", "track", "first_seen", "last_seen", "state", "score", "votes", "closed", "clock_ok"},
    )
    db.table("encounters").create_index(["first_seen"])


def _create_coverage(db: Database) -> None:
    db.table("coverage").create(
        {
            "camera": str,
            "minute": int,
            "frames_seen": int,
            "frames_analysed": int,
            "faces": int,
            "dropped": int,
            "camera_state": str,
            "watched_ms": int,
        },
        pk=("camera", "minute"),
        not_null={"frames_seen", "frames_analysed", "faces", "dropped", "camera_state", "watched_ms"},
    )
    db.table("coverage").create_index(["minute"])


def _create_outbox(db: Database) -> None:
    # AUTOINCREMENT, which sqlite-utils cannot say: a sequence number is never used twice, even after its row is gone.
    db.execute(
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload TEXT NOT NULL,"
        " qos INTEGER NOT NULL, retain INTEGER NOT NULL, created INTEGER NOT NULL, event_id TEXT, event_seq INTEGER)"
    )
