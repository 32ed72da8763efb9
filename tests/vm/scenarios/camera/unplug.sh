# The driver goes while it is in use, and comes back: so does the camera, and the daemon was never restarted.
pid=$(systemctl show edged -p MainPID --value)
: >/run/heard
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
wait_for 120 grep -qE '/camera/door/status .*"(reconnecting|offline)"' /run/heard
wait_for 60 rmmod vivid
: >/run/heard
modprobe vivid n_devs=1 node_types=0x1
wait_for 180 grep -q '/camera/door/status .*"online"' /run/heard
[ "$(systemctl show edged -p MainPID --value)" = "$pid" ] || fail "the daemon was restarted"
echo "unloaded: told; loaded again: online, in the same daemon"
