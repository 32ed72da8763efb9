# The record on a small disk of its own, which is filled quickly.
mount LABEL=state /var/lib/edged
chown edged:edged /var/lib/edged
chmod 750 /var/lib/edged
