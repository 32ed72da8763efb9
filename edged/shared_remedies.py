"""What to do about troubles of which several parts tell: one table for the daemon, the command line and the console."""

DISK = "free some space, or lower store.retention_days"
BUILD = "run `edged engines build`"
CLOCK = "enable systemd-timesyncd, or set device.trust_clock where another clock keeps the time"
