wait_for 200 active active
grep -q '^fps = 4' /etc/edged/edged.toml || fail "not taken"
sed -i 's/^fps = 4/fps = 3/' /etc/edged/edged.toml
