# Minutes alone: events are recorded, their messages wait, and whoever asks is told why.
pid=$(systemctl show edged -p MainPID --value)
# In between few pictures are analysed: the minutes of a machine that always has work are long on an emulated processor.
analyse() {
    sed -i "s/^fps = .*/fps = $1/" /etc/edged/edged.toml
    systemctl reload edged
}
sleep 60
analyse 0.5
sleep $((minutes * 60 - 120))
analyse 5
sleep 60
[ "$(systemctl show edged -p MainPID --value)" = "$pid" ] || fail "the daemon was restarted"
active active || fail "not active"
edged status | grep -i broker | grep -iE 'not|no |refused' >&2 || fail "the status does not name the broker"
/opt/edged/bin/python - <<'PY'
import json, sqlite3
db = sqlite3.connect("file:/var/lib/edged/edged.db?mode=ro", uri=True)
ended = [row[0] for row in db.execute("SELECT event_id FROM events WHERE kind = 'mask' AND ended_at IS NOT NULL ORDER BY event_id")]
print(json.dumps({"events": len(ended), "last": ended[-1], "waiting": db.execute("SELECT count(*) FROM outbox").fetchone()[0]}))
PY
