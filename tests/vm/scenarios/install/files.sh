# Every file, folder and link, but those that a running system writes.
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /root \
    -o -path /var/lib/systemd -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/mosquitto \
    -o -path '/etc/*-' -o -path /etc/ld.so.cache -o -path /dev \) -prune -o -printf '%p %y\n' | sort
