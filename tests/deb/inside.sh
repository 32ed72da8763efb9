# What check.sh does in the pristine system, in three steps: apt needs the network, the daemon has none.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
list() { sh /parcel/files.sh | grep -v '^/parcel'; }
case $1 in
before)
    apt-get satisfy -y --no-install-recommends "$(dpkg-deb --field /parcel/edged.deb Depends)" >/tmp/log 2>&1 ||
        { tail -n 20 /tmp/log; exit 1; }
    list >/tmp/before
    apt-get install -y --no-install-recommends /parcel/edged.deb >/tmp/log 2>&1 || { tail -n 20 /tmp/log; exit 1; }
    edged --version
    systemd-analyze verify --man=no /lib/systemd/system/edged*.service /lib/systemd/system/edged*.timer
    edged doctor 2>&1 | grep 'cameras: none is configured'
    edged selftest >/tmp/log || { tail -n 20 /tmp/log; exit 1; }
    tail -n 1 /tmp/log
    ;;
alert)
    ip link set lo up
    cp /parcel/entrance.mp4 /var/lib/edged/
    printf '%s\n' '[camera.door]' 'source = "file:///var/lib/edged/entrance.mp4?loop=1&realtime=1"' 'smallest_face = 60' \
        'fps = 5' '[mqtt]' 'host = "127.0.0.1"' >/etc/edged/edged.toml
    mosquitto -p 1883 >/tmp/broker 2>&1 &
    broker=$! daemon=
    sleep 2
    mosquitto_sub -h 127.0.0.1 -v -t 'edged/#' >/tmp/heard 2>&1 &
    subscriber=$!
    trap 'kill $subscriber $broker $daemon 2>/dev/null || true' EXIT
    setpriv --reuid=edged --regid=edged --init-groups edged run --config /etc/edged/edged.toml >/tmp/daemon 2>&1 &
    daemon=$!
    tries=0
    until grep -q '/violation ' /tmp/heard; do
        [ $((tries += 1)) -lt 300 ] || { tail -n 20 /tmp/daemon; echo "no alert"; exit 1; }
        sleep 1
    done
    kill $daemon
    wait $daemon
    echo "an alert was heard after $tries s"
    ;;
after)
    apt-get remove -y edged >/tmp/log 2>&1
    [ -e /var/lib/edged/edged.db ]
    [ -e /etc/edged/edged.toml ]
    apt-get purge -y edged >/tmp/log 2>&1
    list >/tmp/after
    diff /tmp/before /tmp/after >/tmp/different || { head -n 20 /tmp/different; exit 1; }
    echo "installed, removed and purged; the files are those of before"
    ;;
esac
