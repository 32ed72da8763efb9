# The broker comes: all that waited is told, each event's steps in their order, none missing.
systemctl enable --now mosquitto
told_all() {
    timeout 5 mosquitto_sub -h 127.0.0.1 -c -i listener -q 1 -t 'edged/+/events' -t 'edged/+/camera/+/violation' -v >>/run/told 2>/dev/null || true
    grep -q "$last" /run/told && [ "$(edged status --json | grep -o '"outbox": *[0-9]*' | tr -dc 0-9)" -le 3 ]
}
wait_for 60 told_all
cat >/run/judge.py <<'PY'
import json, sqlite3, sys
steps, alerts = {}, set()
for line in open("/run/told"):
    topic, _, payload = line.partition(" ")
    told = json.loads(payload)
    if topic.endswith("/violation"):
        alerts.add(told["event_id"])
    else:
        seen = steps.setdefault(told["event_id"], [])
        if told["seq"] not in seen:  # a repetition is allowed, a hole is not
            seen.append(told["seq"])
db = sqlite3.connect("file:/var/lib/edged/edged.db?mode=ro", uri=True)
last = sys.argv[1]
stored = dict(db.execute("SELECT event_id, seq FROM events WHERE kind = 'mask' AND ended_at IS NOT NULL AND event_id <= ?", (last,)))
for event, seq in stored.items():
    assert steps.get(event) == list(range(1, seq + 1)), (event, seq, steps.get(event))
assert len(alerts) >= 3, alerts
print(f"the broker came: {len(stored)} events told, every step in order, {len(alerts)} alerts")
PY
/opt/edged/bin/python /run/judge.py "$last"
