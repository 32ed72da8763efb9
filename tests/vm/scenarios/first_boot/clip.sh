mount_parcel
install -m 644 "$parcel/entrance.mp4" /var/lib/edged/entrance.mp4
