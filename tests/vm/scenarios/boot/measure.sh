# When the daemon was started, was READY, and was first heard to alert, in seconds since the kernel began.
since() { systemctl show edged -p "$1" --value | awk '{ printf "%.2f", $1 / 1e6 }'; }
wait_for 200 active active
# A clip that begins with a bare face: the vote takes its seconds.
(timeout 200 tail -n +1 -F /run/heard 2>/dev/null || true) | grep -qm1 '/violation ' || fail "no alert"
alert=$(cut -d' ' -f1 /proc/uptime)
echo "{\"started\": $(since ExecMainStartTimestampMonotonic), \"ready\": $(since ActiveEnterTimestampMonotonic), \"alert\": $alert}"
