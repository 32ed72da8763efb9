# Online, and its pictures come at the config's rate, within 5 %.
wait_for 60 grep -q '/camera/door/status .*"online"' /run/heard
seen() { edged status --json | /opt/edged/bin/python -c 'import json, sys; print(json.load(sys.stdin)["cameras"]["door"]["frames_seen"])'; }
sleep 5
first=$(seen) from=$(cut -d' ' -f1 /proc/uptime)
sleep 60
last=$(seen) to=$(cut -d' ' -f1 /proc/uptime)
rate=$(awk "BEGIN { printf \"%.2f\", ($last - $first) / ($to - $from) }")
awk "BEGIN { exit !($rate >= 4.75 && $rate <= 5.25) }" || fail "$rate pictures a second"
echo "online, $rate pictures a second of 5"
