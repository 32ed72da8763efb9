# The card goes while the daemon runs: one line with the remedy, and it is the same daemon.
pid=$(systemctl show edged -p MainPID --value)
echo snd_aloop.0 >/sys/bus/platform/drivers/snd_aloop/unbind
edged outputs test siren --seconds 2 || true
told() { journalctl -b -u edged --no-pager -o cat | grep -F 'no sound on device'; }
wait_for 60 told
[ "$(systemctl show edged -p MainPID --value)" = "$pid" ] || fail "the daemon was restarted"
echo "the card was pulled out: $(told | head -n 1)"
