"""Talks to systemd: readiness, watchdog, status line; without systemd every call does nothing."""

import importlib
import os
from typing import Any


class Notifier:
    """sd_notify through systemd-python when it is installed and systemd listens."""

    def __init__(self) -> None:
        self._daemon = _systemd_daemon() if os.environ.get("NOTIFY_SOCKET") else None
        self.watchdog_interval_s = _watchdog_interval_s()
        """Half of what systemd allows between two signs of life, or None when it does not watch."""

    @property
    def missing(self) -> bool:
        """Whether systemd listens, but systemd-python is not installed: it would take a running daemon for a failed one."""
        return bool(os.environ.get("NOTIFY_SOCKET")) and self._daemon is None

    @staticmethod
    def available() -> bool:
        """Whether systemd-python is installed."""
        return _systemd_daemon() is not None

    def ready(self) -> None:
        self._notify("READY=1")

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def status(self, line: str) -> None:
        self._notify(f"STATUS={line}")

    def reloading(self, done: bool) -> None:
        self._notify("READY=1" if done else "RELOADING=1")

    def _notify(self, message: str) -> None:
        if self._daemon is not None:
            self._daemon.notify(message)


def _systemd_daemon() -> Any:
    try:
        return importlib.import_module("systemd.daemon")
    except ImportError:
        return None


def _watchdog_interval_s() -> float | None:
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdigit() and watched else None
