# What the scenarios' scripts share; it stands before each.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
parcel=/mnt/parcel

fail() {
    echo "FAILED: $*"
    systemctl status edged --no-pager -l 2>&1 | tail -n 20 || true
    journalctl -b -u "edged*" --no-pager 2>/dev/null | tail -n 20 || true
    exit 1
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    limit=$1
    shift
    until "$@" >/dev/null 2>&1; do
        limit=$((limit - 1))
        [ "$limit" -gt 0 ] || fail "waited in vain for: $*"
        sleep 1
    done
}

mount_parcel() {
    mountpoint -q $parcel || mount -o ro LABEL=parcel $parcel
}

active() {
    [ "$(systemctl show edged -p ActiveState --value)" = "$1" ]
}

# The daemon is there without a camera, too.
serves_door() {
    edged status --json | grep -q '"door"'
}
