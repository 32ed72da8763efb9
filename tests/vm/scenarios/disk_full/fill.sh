# Fills the disk as root can, and empties it again.
state=/var/lib/edged
pid=$(systemctl show edged -p MainPID --value)
wait_for 120 grep -q '/violation ' /run/heard
mkdir -p $state/fill
if [ "$fill" = bytes ]; then
    cat /dev/zero >$state/fill/zeros 2>/dev/null || true
else
    number=0
    while touch $state/fill/$((number += 1)) 2>/dev/null; do :; done
fi
: >/run/heard
wait_for 180 grep -qE '/state .*disk is full|/state .*"mode": *"degraded"' /run/heard
told=$(grep '/state ' /run/heard | tail -n 1)
wait_for 120 grep -q '/violation ' /run/heard
rm -r $state/fill
: >/run/heard
wait_for 180 grep -q '/state .*"mode": *"normal"' /run/heard
wait_for 120 grep -q '/violation ' /run/heard
[ "$(systemctl show edged -p MainPID --value)" = "$pid" ] || fail "the daemon was restarted"
echo "no $fill left: alerts went on, and the state said so ($(echo "$told" | grep -o '"errors":.*')); with room again normal, in the same daemon"
