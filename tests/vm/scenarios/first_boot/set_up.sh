wait_for 200 serves_door
[ "$(stat -c '%a %U:%G' /etc/NetworkManager/system-connections/edged.nmconnection)" = "600 root:root" ] || fail "keyfile"
[ "$(stat -c '%a %U:%G' /etc/edged/mqtt-password)" = "640 root:edged" ] || fail "password file"
[ "$(readlink /etc/localtime)" = /usr/share/zoneinfo/Europe/Madrid ] || fail "time zone"
nmcli -t -f NAME connection show | grep -x edged || fail "NetworkManager does not know the connection"
edged config check 2>&1
[ -z "$(systemctl list-units --failed --no-legend 'edged*')" ] || fail "a unit failed"
