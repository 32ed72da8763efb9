"""Resets one USB device as if it were unplugged: `python -I -S usb_reset.py /dev/bus/usb/001/004`; it may hang, and be killed."""

import fcntl
import os
import sys

USBDEVFS_RESET = 0x5514

if __name__ == "__main__":
    try:
        descriptor = os.open(sys.argv[1], os.O_WRONLY)
        fcntl.ioctl(descriptor, USBDEVFS_RESET, 0)
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error.strerror}")
