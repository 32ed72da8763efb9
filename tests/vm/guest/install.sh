# The whole installation is one command.
mount_parcel
apt-get install -y "$parcel/edged.deb" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; exit 1; }
