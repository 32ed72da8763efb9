# A subscriber whose words reach the host, line by line, and survive a power cut. It listens before its port to the host is there,
# which at a boot may come late.
cat >/usr/local/lib/heard.sh <<'SH'
mosquitto_sub -h 127.0.0.1 -v -q 1 -t "edged/#" | tee -a /run/heard | {
    until [ -e /dev/virtio-ports/heard ]; do sleep 0.1; done
    exec cat >/dev/virtio-ports/heard
}
SH
cat >/etc/systemd/system/heard.service <<'UNIT'
[Unit]
After=mosquitto.service
Before=edged.service
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sh /usr/local/lib/heard.sh
Restart=always
RestartSec=200ms
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now mosquitto heard.service
wait_for 60 mosquitto_pub -h 127.0.0.1 -t probe -n
