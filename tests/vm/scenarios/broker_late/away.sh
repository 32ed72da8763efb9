# A record that begins now.
systemctl stop edged
rm /var/lib/edged/edged.db*
# The broker knows a subscriber, for whom it keeps what comes while nobody listens; then it goes, before edged has started.
printf '%s\n' 'persistence true' 'persistence_location /var/lib/mosquitto/' 'max_queued_messages 10000' 'listener 1883 127.0.0.1' \
    'allow_anonymous true' >/etc/mosquitto/mosquitto.conf
systemctl restart mosquitto
wait_for 60 mosquitto_pub -h 127.0.0.1 -t probe -n
mosquitto_sub -h 127.0.0.1 -c -i listener -q 1 -t 'edged/+/events' -t 'edged/+/camera/+/violation' -E
systemctl disable --now mosquitto
