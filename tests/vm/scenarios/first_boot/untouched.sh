wait_for 120 systemctl is-active multi-user.target
changed=$(dpkg --verify edged | grep -F /etc/edged || true)
[ -z "$changed" ] || fail "changed: $changed"
[ ! -e /etc/NetworkManager/system-connections/edged.nmconnection ] || fail "a network was set up"
active active || fail "it does not wait for a camera any more"
! serves_door || fail "it serves what was refused"
[ -z "$(systemctl list-units --failed --no-legend 'edged*')" ] || fail "a unit failed"
