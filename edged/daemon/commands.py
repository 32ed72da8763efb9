"""Carries out what people ask for over MQTT: one method for each verb, whose answer goes to `cmd/<verb>/result`."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edged.config import Config
from edged.daemon.parts import Telling
from edged.daemon.selftest import SelfTest
from edged.errors import EdgedError
from edged.ports import Clock
from edged.publish import Command, result
from edged.records import Message
from edged.report.day import day_of, parse_day

log = logging.getLogger(__name__)

ANSWER_WAIT_S = 30.0
"""An answer waits so long for a connection that carries it: a reload may have ended the one before."""

MOST_ANSWERS = 64

STOPPING = "the daemon is stopping; ask again when it is back"
RELOADED = "the config was reloaded meanwhile; ask again"

Present = Callable[[], tuple[Config, Telling]]
Answer = dict[str, Any]


class Commands:
    """The daemon's side of `cmd/<verb>`; obeys in the main thread, one command at a time, and waits for nothing there.

    Everything that is asked is answered: when it is done, when it was overtaken by a restart or a reload, and when the
    daemon stops. Answers that find no connection wait a while for one.
    """

    def __init__(self, clock: Clock, config_file: Path, present: Present, reload: Callable[[], str | None]) -> None:
        """`present()` gives the config and the connection of this moment; `reload()` takes up the config file, and says
        what was wrong with it.
        """
        self.restart_asked = False
        """Somebody wants the daemon started afresh; they have been answered."""
        self._clock = clock
        self._present = present
        self._take_up_config = reload
        self._self_test = SelfTest(clock, config_file)
        self._self_test_asked: Command | None = None
        self._waiting: deque[Command] = deque()
        self._lock = threading.Lock()
        self._reports_asked: list[Command] = []
        self._answers: deque[tuple[float, Message]] = deque(maxlen=MOST_ANSWERS)
        self._verbs: dict[str, Callable[[Command], None]] = {
            "reload": self._reload,
            "report": self._report,
            "restart": self._restart,
            "selftest": self._start_self_test,
        }

    def obey(self) -> None:
        """Carry out the next command that has come in, and send what can be answered. Call often."""
        if not self._waiting:
            self._collect()
        if self._waiting:
            command = self._waiting.popleft()
            self._verbs[command.verb](command)
        answer = self._self_test.poll()
        if answer is not None and self._self_test_asked is not None:
            self.reply(self._self_test_asked, answer)
            self._self_test_asked = None
        self._send_answers()

    def stop(self) -> None:
        """End what still runs, and tell whoever waits for it."""
        self._self_test.stop()
        self._collect()
        unanswered = [*self._waiting, *([self._self_test_asked] if self._self_test_asked else [])]
        self._waiting.clear()
        self._self_test_asked = None
        self._give_up(unanswered, STOPPING)
        self._give_up_reports(STOPPING)

    def reply(self, command: Command, answer: Answer) -> None:
        """Answer; from any thread."""
        until = self._clock.monotonic_s() + ANSWER_WAIT_S
        self._answers.append((until, result(answer, command)))
        self._send_answers()

    def _collect(self) -> None:
        """Take over what the connection has received."""
        _, telling = self._present()
        self._waiting += telling.publisher.commands() if telling.publisher else []

    def _send_answers(self) -> None:
        """Hand over the answers while there is a connection; from any thread."""
        _, telling = self._present()
        with self._lock:
            while self._answers and telling.publisher is not None and telling.publisher.connected:
                telling.publisher.send(self._answers.popleft()[1])
            while self._answers and self._answers[0][0] < self._clock.monotonic_s():
                log.warning("nobody hears %s: there is no connection to the broker", self._answers.popleft()[1].topic)

    def _reload(self, command: Command) -> None:
        """However many ask for it at once, the file is read once, and each is answered."""
        self._collect()  # a connection that ends takes with it what nobody has collected
        asked = [command, *(other for other in self._waiting if other.verb == "reload")]
        self._waiting = deque(other for other in self._waiting if other.verb != "reload")
        _, before = self._present()
        problem = self._take_up_config()
        if self._present()[1] is not before:
            self._give_up_reports(RELOADED)
        for one in asked:
            self.reply(one, {"ok": problem is None, "error": problem})

    def _report(self, command: Command) -> None:
        config, telling = self._present()
        now, zone = self._clock.utc_ms(), ZoneInfo(config.report.timezone)
        try:
            wanted = command.payload.get("date")
            day = parse_day(str(wanted), zone, now) if wanted else day_of(now, zone) - timedelta(days=1)
        except EdgedError as error:
            self.reply(command, {"ok": False, "error": str(error)})
            return
        with self._lock:
            self._reports_asked.append(command)
        if not telling.reporter.request(day, lambda answer: self._answer_report(command, answer)):
            self._answer_report(command, {"ok": False, "error": "busy with other reports; ask again in a minute"})

    def _answer_report(self, command: Command, answer: Answer) -> None:
        """Answer once, whoever is first: the reporter, or a reload that has replaced it."""
        with self._lock:
            waits = any(command is asked for asked in self._reports_asked)
            self._reports_asked = [asked for asked in self._reports_asked if asked is not command]
        if waits:
            self.reply(command, answer)

    def _give_up_reports(self, why: str) -> None:
        for command in list(self._reports_asked):
            self._answer_report(command, {"ok": False, "error": why})

    def _give_up(self, commands: list[Command], why: str) -> None:
        for command in commands:
            self.reply(command, {"ok": False, "error": why})

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
