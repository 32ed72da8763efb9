# What a person does: one file. The clip stands in for the camera.
mount_parcel
install -m 644 "$parcel/entrance.mp4" /var/lib/edged/entrance.mp4
install -m 640 -g edged "$parcel/edged.toml" /etc/edged/edged.toml
