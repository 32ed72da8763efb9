"""Carries out what people ask for over MQTT: one method for each verb, whose answer goes to `cmd/<verb>/result`."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edged import messages
from edged.config import Config
from edged.daemon.parts import Telling
from edged.daemon.selftest import SelfTest
from edged.errors import EdgedError
from edged.ports import Clock
from edged.publish import Command
from edged.report.day import day_of, parse_day

log = logging.getLogger(__name__)

BROKER_WAIT_S = 3.0

Present = Callable[[], tuple[Config, Telling]]


class Commands:
    """The daemon's side of `cmd/<verb>`; obeys in the main thread, and must not hold it up."""

    def __init__(
        self,
        clock: Clock,
        config_file: Path,
        present: Present,
        reload: Callable[[], str | None],
        stopping: threading.Event,
    ) -> None:
        """`present()` gives the config and the connection of this moment; `reload()` takes up the config file, and says
        what was wrong with it.
        """
        self.restart_asked = False
        """Somebody wants the daemon started afresh; they have been answered."""
        self._clock = clock
        self._present = present
        self._take_up_config = reload
        self._stopping = stopping
        self._self_test = SelfTest(clock, config_file)
        self._self_test_asked: Command | None = None
        self._verbs: dict[str, Callable[[Command], None]] = {
            "reload": self._reload,
            "report": self._report,
            "restart": self._restart,
            "selftest": self._start_self_test,
        }

    def obey(self) -> None:
        """Carry out what has come in since the last call."""
        _, telling = self._present()
        for command in telling.publisher.commands() if telling.publisher else []:
            self._verbs[command.verb](command)
        answer = self._self_test.poll()
        if answer is not None and self._self_test_asked is not None:
            self.reply(self._self_test_asked, answer)
            self._self_test_asked = None

    def stop(self) -> None:
        """End what still runs."""
        self._self_test.stop()

    def reply(self, command: Command, answer: dict[str, Any]) -> None:
        """Answer; from any thread. Nobody hears it while there is no connection."""
        _, telling = self._present()
        if telling.publisher:
            request = {"request_id": command.payload["request_id"]} if "request_id" in command.payload else {}
            telling.publisher.send(messages.command_result(command.verb), messages.encode({**request, **answer}))

    def _reload(self, command: Command) -> None:
        problem = self._take_up_config()
        self._wait_for_broker()
        self.reply(command, {"ok": problem is None, "error": problem})

    def _wait_for_broker(self) -> None:
        """A reload may have made a new connection, which must stand before it can carry the answer."""
        _, telling = self._present()
        deadline = self._clock.monotonic_s() + BROKER_WAIT_S
        while telling.publisher and not telling.publisher.connected and self._clock.monotonic_s() < deadline:
            if self._stopping.wait(0.05):
                return

    def _report(self, command: Command) -> None:
        config, telling = self._present()
        now, zone = self._clock.utc_ms(), ZoneInfo(config.report.timezone)
        try:
            wanted = command.payload.get("date")
            day = parse_day(str(wanted), zone, now) if wanted else day_of(now, zone) - timedelta(days=1)
        except EdgedError as error:
            self.reply(command, {"ok": False, "error": str(error)})
            return
        if not telling.reporter.request(day, lambda answer: self.reply(command, answer)):
            self.reply(command, {"ok": False, "error": "busy with other reports; ask again in a minute"})

    def _restart(self, command: Command) -> None:
        """The answer leaves before the connection does: a publisher that stops sends what it was handed."""
        log.warning("a restart was asked for over MQTT")
        self.reply(command, {"ok": True, "error": None})
        self.restart_asked = True

    def _start_self_test(self, command: Command) -> None:
        problem = self._self_test.start()
        if problem:
            self.reply(command, {"ok": False, "error": problem})
        else:
            self._self_test_asked = command
