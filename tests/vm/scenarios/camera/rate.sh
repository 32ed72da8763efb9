# Online, and its pictures are taken at the config's rate, within 5 %. The camera gives more: those over the rate are only counted.
wait_for 60 grep -q '/camera/door/status .*"online"' /run/heard
count() {
    edged status --json | /opt/edged/bin/python -c 'import json, sys
door = json.load(sys.stdin)["cameras"]["door"]
print(door["frames_seen"], door["frames_analysed"])'
}
sleep 5
first=$(count) from=$(cut -d' ' -f1 /proc/uptime)
sleep 60
last=$(count) to=$(cut -d' ' -f1 /proc/uptime)
rates=$(echo "$first $last $from $to" | awk '{ printf "%.2f %.2f", ($3 - $1) / ($6 - $5), ($4 - $2) / ($6 - $5) }')
came=${rates% *} taken=${rates#* }
awk "BEGIN { exit !($taken >= 4.75 && $taken <= 5.25) }" || fail "$taken pictures a second were analysed, of $came that came"
echo "online, $taken pictures a second analysed where the config says 5, of $came that the camera gave"
