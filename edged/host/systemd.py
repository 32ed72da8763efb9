"""systemd: readiness, watchdog, status line, by sd_notify; without systemd every call does nothing.

The protocol is a datagram for each message (sd_notify(3), "standalone implementations"); it is stable, and needs no library.
"""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""A manager that reads no message must not block the daemon; the next sign of life follows soon."""


class Notifier:
    """sd_notify to whoever listens at `NOTIFY_SOCKET`."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval_s = _watchdog_interval_s()
        """Half of what systemd allows between two signs of life, or None when it does not watch."""

    def ready(self) -> None:
        self._notify("READY=1")

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def trigger_watchdog(self) -> None:
        """Have systemd restart the daemon now, not when the watchdog time has passed."""
        self._notify("WATCHDOG=trigger")

    def status(self, line: str) -> None:
        self._notify(f"STATUS={' '.join(line.split())}")

    def reloading(self, done: bool) -> None:
        """The instant is what `Type=notify-reload` asks for."""
        self._notify("READY=1" if done else f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def _notify(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(PATIENCE_S)
                sender.sendto(message.encode(errors="replace"), self._address)
        except OSError as error:
            log.warning(
                "the message %s could not be sent to systemd (%s)",
                message.partition("=")[0],
                error.strerror or "no answer",
            )


def _watchdog_interval_s() -> float | None:
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdigit() and watched else None
