# A daemon that stands still is started again by systemd, and ends the event that was open.
wait_for 90 grep -q '"phase": *"start"\|/violation ' /run/heard
pid=$(systemctl show edged -p MainPID --value)
: >/run/heard
systemctl kill -s STOP edged
restarted() { [ "$(systemctl show edged -p NRestarts --value)" -ge 1 ] && active active; }
wait_for 240 restarted
[ "$(systemctl show edged -p NRestarts --value)" = 1 ] || fail "restarted more than once"
[ "$(systemctl show edged -p MainPID --value)" != "$pid" ] || fail "the same process"
journalctl -b -u edged --no-pager -o cat | grep -i 'watchdog timeout' || fail "it was not the watchdog"
wait_for 120 grep -q '/violation ' /run/heard
/opt/edged/bin/python - <<'PY'
import sqlite3
db = sqlite3.connect("file:/var/lib/edged/edged.db?mode=ro", uri=True)
assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
ends = [row[0] for row in db.execute("SELECT end_reason FROM events WHERE ended_at IS NOT NULL")]
print(len(ends), "events ended, by a restart:", ends.count("restart"))
PY
