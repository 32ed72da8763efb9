wait_for 200 active active
grep -q '^fps = 3' /etc/edged/edged.toml || fail "taken again"
