wait_for 200 serves_door
grep -q "^fps = $fps" /etc/edged/edged.toml || fail "not the file in force: $(grep '^fps' /etc/edged/edged.toml)"
sed -i "s/^fps = $fps/fps = $then/" /etc/edged/edged.toml
sync
