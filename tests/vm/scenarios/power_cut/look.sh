# After the power came back: the record is whole, and holds all that was heard.
wait_for 300 active active
began=$((($(date +%s) - $(cut -d. -f1 /proc/uptime)) * 1000)) # of this boot
/opt/edged/bin/python - <<PY
import json, sqlite3
db = sqlite3.connect("file:/var/lib/edged/edged.db?mode=ro", uri=True)
assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok", "the record is damaged"
stored = {row[0] for row in db.execute("SELECT event_id FROM events")}
open_for_ever = db.execute("SELECT count(*) FROM events WHERE ended_at IS NULL AND started_at < ?", ($began,)).fetchone()[0]
print(json.dumps({"stored": sorted(stored), "open": open_for_ever}))
PY
