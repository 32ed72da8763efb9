# A subscriber whose words reach the host, line by line, and survive a power cut.
cat >/etc/systemd/system/heard.service <<'UNIT'
[Unit]
After=mosquitto.service
Before=edged.service
[Service]
ExecStart=/bin/sh -c 'exec mosquitto_sub -h 127.0.0.1 -v -q 1 -t "edged/#" | tee -a /run/heard >/dev/virtio-ports/heard'
Restart=always
RestartSec=200ms
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now mosquitto heard.service
wait_for 60 mosquitto_pub -h 127.0.0.1 -t probe -n
