"""edged under a real systemd: a Debian guest in QEMU, and what happens to it."""
