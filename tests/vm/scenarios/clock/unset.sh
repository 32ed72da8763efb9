# systemd takes its own build's day where the clock says 1970; alerts go on, and say that the clock is not to be believed.
wait_for 300 active active
wait_for 120 grep -q '/violation .*"clock_synced": *false' /run/heard
[ "$(date +%s)" -lt "$now" ] || fail "the clock is right: $(date)"
echo "the clock says $(date +%F): alerts go on, and say so"
