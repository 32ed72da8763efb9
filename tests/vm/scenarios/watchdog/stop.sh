# A daemon that stands still, or whose store hangs in a disk that answers no more, is started again by systemd, and ends
# the event that was open.
state=/var/lib/edged
wait_for 120 grep -q '/violation ' /run/heard
pid=$(systemctl show edged -p MainPID --value)
before=$(systemctl show edged -p NRestarts --value)
from=$(date '+%F %T')
fired() { journalctl -u edged --since "$from" --no-pager -o cat | grep -iE 'watchdog (timeout|request)'; }
restarts() { systemctl show edged -p NRestarts --value; }
restarted() { [ "$(restarts)" -gt "$before" ] && active active; }
: >/run/heard
# With an event open, so that there is one to end.
wait_for 120 grep -q '"type": *"start".*"kind": *"mask"' /run/heard
began=$(cut -d. -f1 /proc/uptime)
if [ "$how" = stop ]; then
    systemctl kill -s STOP edged
else
    fsfreeze -f $state
fi
wait_for 240 fired
after=$(($(cut -d. -f1 /proc/uptime) - began))
[ "$how" = stop ] || fsfreeze -u $state
wait_for 240 restarted
back=$(($(cut -d. -f1 /proc/uptime) - began))
: >/run/heard
[ "$(restarts)" = $((before + 1)) ] || fail "restarted $(restarts) times"
[ "$(systemctl show edged -p MainPID --value)" != "$pid" ] || fail "the same process"
wait_for 120 grep -q '/violation ' /run/heard
/opt/edged/bin/python - <<'PY'
import sqlite3
db = sqlite3.connect("file:/var/lib/edged/edged.db?mode=ro", uri=True)
assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
ended = [row[0] for row in db.execute("SELECT end_reason FROM events WHERE kind = 'mask' AND ended_at IS NOT NULL")]
assert "restart" in ended, ended
print(len(ended), "events ended, by a restart:", ended.count("restart"))
PY
echo "the watchdog fired after $after s, serving again after $back s"
