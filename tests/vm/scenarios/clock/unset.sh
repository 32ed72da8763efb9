# systemd takes its own build's day where the clock says 1970; alerts go on, and say that the clock is not to be believed.
wait_for 300 active active
wait_for 120 grep -q '/violation .*"clock_synced": *false' /run/heard
[ "$(date +%s)" -lt $((now - 30 * 86400)) ] || fail "the clock is hardly wrong: $(date)"
echo "the clock says $(date +%F): alerts go on, and say so"
