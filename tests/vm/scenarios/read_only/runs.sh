wait_for 300 active active
! touch /written 2>/dev/null || fail "the root takes writing"
! touch /etc/edged/written 2>/dev/null || fail "/etc takes writing"
wait_for 120 grep -q '/violation ' /run/heard
[ -z "$(systemctl list-units --failed --no-legend 'edged*')" ] || fail "a unit failed"
journalctl -b -u edged -p warning --no-pager -o cat | grep -v 'the clock has not been set' && fail "warnings" || true
echo "active, an alert, no warning"
