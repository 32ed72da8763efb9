# A camera by its place in the machine, as `edged cameras` names it.
: >/run/heard
modprobe vivid n_devs=1 node_types=0x1
path=/dev/v4l/by-path/platform-vivid.0-video-index0
wait_for 60 test -e $path
[ "$(stat -Lc %G $path)" = video ] || fail "the camera's group is $(stat -Lc %G $path)"
edged cameras | grep -F "v4l2://" || fail "edged cameras does not name it"
cat >/etc/edged/edged.toml <<TOML
[camera.door]
source = "v4l2://$path?width=320&height=180"
smallest_face = 60
fps = 5

[mqtt]
host = "127.0.0.1"
TOML
