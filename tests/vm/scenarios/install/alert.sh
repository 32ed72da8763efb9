# From start to the first alert; then nothing of the sandbox may have been in the way.
# What systemd-timesyncd leaves once a time server has answered: the guest has no network.
mkdir -p /run/systemd/timesync
touch /run/systemd/timesync/synchronized
began=$(cut -d. -f1 /proc/uptime)
systemctl restart edged.service
active active || fail "not active"
ready=$(cut -d. -f1 /proc/uptime)
wait_for 60 grep -q '/violation ' /run/heard
heard=$(cut -d. -f1 /proc/uptime)
echo "READY after $((ready - began)) s, an alert after $((heard - began)) s"
journalctl -b -u edged -p warning --no-pager -o cat | grep . && fail "warnings" || true
journalctl -b _TRANSPORT=kernel _TRANSPORT=audit --no-pager -o cat | grep -E 'type=1326|apparmor="DENIED"' && fail "denied" || true
journalctl -b -u edged --no-pager -o cat | grep -i 'not permitted' && fail "denied" || true
edged status --json >/tmp/status && echo "status answers"
