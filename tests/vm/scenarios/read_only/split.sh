# /var moves to the other disk, and the root is mounted read-only from the next boot on.
systemctl disable --now edged.service heard.service mosquitto.service
mount LABEL=var /mnt
cp -a /var/. /mnt/
umount /mnt
# What a read-only root needs of any system: nothing of edged's.
printf '%s\n' 'LABEL=edgedroot / ext4 ro 0 1' 'LABEL=var /var ext4 defaults 0 2' 'tmpfs /tmp tmpfs defaults 0 0' >/etc/fstab
systemctl enable edged.service heard.service mosquitto.service
sync
