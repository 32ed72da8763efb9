"""Carries out commands, from MQTT and the request socket alike: one method for each verb, whose answer goes to who asked."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edged.daemon.client import BUSY as BUSY_BEGINS
from edged.daemon.client import wait_s
from edged.daemon.pause import named
from edged.daemon.runtime import Runtime
from edged.daemon.selftest import SelfTest
from edged.errors import EdgedError
from edged.ports import Clock
from edged.publish import Command, result
from edged.publish.commands import result_document
from edged.records import Message
from edged.report.day import day_of, parse_day

log = logging.getLogger(__name__)

ANSWER_WAIT_S = 30.0
"""An answer waits so long for a connection that carries it: a reload may have ended the one before."""

MOST_ANSWERS = 64
MOST_ASKED = 16
"""Commands of the request socket that wait for the main thread."""

MOST_TEST_S = 60.0

STOPPING = "the daemon is stopping; ask again when it is back"
RELOADED = "the config was reloaded meanwhile; ask again"
BUSY = f"{BUSY_BEGINS} with other commands; ask again in a moment"

Answer = dict[str, Any]


class Commands:
    """The daemon's side of every command; handled in the main thread, one command at a time, without waiting there.

    Every command is answered: when it is done, when a restart or a reload overtakes it, and when the daemon stops. Answers
    that find no connection wait a while for one. Reload and restart are the caller's to do: see `reload_asked`,
    `restart_asked`.
    """

    def __init__(
        self, clock: Clock, config_file: Path, local: Mapping[str, Callable[[Mapping[str, Any]], Answer]] | None = None
    ) -> None:
        """`local`: commands that the caller carries out at once, in `handle`, each with its arguments."""
        self.restart_asked = False
        """The daemon is to be started afresh; whoever asked has been answered."""
        self._clock = clock
        self._self_test = SelfTest(clock, config_file)
        self._self_test_asked: Command | None = None
        self._waiting: deque[Command] = deque()
        self._asked: queue.Queue[Command] = queue.Queue(MOST_ASKED)
        self._stopped = False
        self._lock = threading.Lock()
        self._reloads_asked: list[Command] = []
        self._reports_asked: list[Command] = []
        self._answers: deque[tuple[float, Message]] = deque(maxlen=MOST_ANSWERS)
        self._local = local or {}
        self._verbs: dict[str, Callable[[Command, Runtime], None]] = {
            **dict.fromkeys(self._local, self._carry_out),
            "acknowledge": self._acknowledge,
            "reload": self._reload,
            "report": self._report,
            "restart": self._restart,
            "selftest": self._start_self_test,
            "test": self._test_output,
        }

    @property
    def reload_asked(self) -> bool:
        """The config file is to be read; `reloaded` answers whoever asked."""
        return bool(self._reloads_asked)

    def ask(self, command: Command) -> Answer:
        """Have it carried out by the main thread and wait for the result's document; from any other thread."""
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        try:
            self._asked.put_nowait(replace(command, answer=answers.put))
        except queue.Full:
            return result_document({"ok": False, "error": BUSY}, command)
        if self._stopped:
            self._refuse_asked()
        try:
            return answers.get(timeout=wait_s(command.verb))
        except queue.Empty:
            late = f"not done within {wait_s(command.verb):.0f} s; it may still be carried out"
            return result_document({"ok": False, "error": late}, command)

    def handle(self, runtime: Runtime) -> None:
        """Carry out the next command that has come in, and send what can be answered. Call often."""
        if not self._waiting:
            self._collect(runtime)
        if self._waiting:
            command = self._waiting.popleft()
            self._verbs[command.verb](command, runtime)
        answer = self._self_test.poll()
        if answer is not None and self._self_test_asked is not None:
            self.reply(self._self_test_asked, answer)
            self._self_test_asked = None
        self._send_answers(runtime)

    def reloaded(self, problem: str | None, swapped: bool) -> None:
        """The file was read, and is in force but for `problem`. Call after every reload, also one that no command asked for.

        `swapped`: the runtime is another, and the reporter that had the reports asked for is gone.
        """
        if swapped:
            self._give_up_reports(RELOADED)
        for command in self._reloads_asked:
            self.reply(command, {"ok": problem is None, "error": problem})
        self._reloads_asked.clear()

    def stop(self, runtime: Runtime) -> None:
        """End what still runs, and answer whoever waits for it."""
        self._self_test.stop()
        self._stopped = True
        self._refuse_asked()
        self._collect(runtime)
        unanswered = [*self._reloads_asked, *self._waiting, *([self._self_test_asked] if self._self_test_asked else [])]
        self._waiting.clear()
        self._reloads_asked.clear()
        self._self_test_asked = None
        for command in unanswered:
            self.reply(command, {"ok": False, "error": STOPPING})
        self._give_up_reports(STOPPING)
        self._send_answers(runtime)

    def reply(self, command: Command, answer: Answer) -> None:
        """Have it answered, over MQTT at the next call of `handle` or `stop`; from any thread."""
        if command.answer is not None:
            command.answer(result_document(answer, command))
            return
        self._answers.append((self._clock.monotonic_s() + ANSWER_WAIT_S, result(answer, command)))

    def _collect(self, runtime: Runtime) -> None:
        """Take over what the connection and the request socket have received."""
        self._waiting += runtime.publisher.commands() if runtime.publisher else []
        self._waiting += _taken(self._asked)

    def _refuse_asked(self) -> None:
        for command in _taken(self._asked):
            self.reply(command, {"ok": False, "error": STOPPING})

    def _send_answers(self, runtime: Runtime) -> None:
        """Hand over the answers while there is a connection."""
        publisher = runtime.publisher
        while self._answers and publisher is not None and publisher.connected:
            publisher.send(self._answers.popleft()[1])
        while self._answers and self._answers[0][0] < self._clock.monotonic_s():
            log.warning("%s was not sent: there is no connection to the broker", self._answers.popleft()[1].topic)

    def _carry_out(self, command: Command, runtime: Runtime) -> None:
        self.reply(command, self._local[command.verb](command.payload))

    def _acknowledge(self, command: Command, runtime: Runtime) -> None:
        """Silence one local output, or all, until something new is true."""
        asked, way = command.payload, "MQTT" if command.answer is None else "the request socket"
        output = None if asked.get("output") is None else str(asked["output"])
        problem = runtime.outputs.acknowledge(output, named(asked.get("who") or asked.get("request_id"), way))
        self.reply(command, {"ok": problem is None, "error": problem})

    def _test_output(self, command: Command, runtime: Runtime) -> None:
        """Switch one local output on for a while."""
        output, seconds = command.payload.get("output"), command.payload.get("seconds", 3)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MOST_TEST_S:
            problem: str | None = f"seconds: must be a number above 0, and {MOST_TEST_S:g} at most"
        else:
            problem = runtime.outputs.test(str(output), seconds)
        self.reply(command, {"ok": problem is None, "error": problem})

    def _reload(self, command: Command, runtime: Runtime) -> None:
        """However many ask for it at once, the file is read once, and each is answered."""
        self._collect(runtime)  # a connection that ends loses the commands that were not collected
        self._reloads_asked += [command, *(other for other in self._waiting if other.verb == "reload")]
        self._waiting = deque(other for other in self._waiting if other.verb != "reload")

    def _report(self, command: Command, runtime: Runtime) -> None:
        now, zone = self._clock.utc_ms(), ZoneInfo(runtime.config.report.timezone)
        try:
            date = command.payload.get("date")
            day = parse_day(str(date), zone, now) if date else day_of(now, zone) - timedelta(days=1)
        except EdgedError as error:
            self.reply(command, {"ok": False, "error": str(error)})
            return
        with self._lock:
            self._reports_asked.append(command)
        if not runtime.reporter.request(day, lambda answer: self._answer_report(command, answer)):
            self._answer_report(command, {"ok": False, "error": "busy with other reports; ask again in a minute"})

    def _answer_report(self, command: Command, answer: Answer) -> None:
        """Answer once, whoever is first: the reporter, from its thread, or a reload that has replaced it."""
        with self._lock:
            waits = any(command is asked for asked in self._reports_asked)
            self._reports_asked = [asked for asked in self._reports_asked if asked is not command]
        if waits:
            self.reply(command, answer)

    def _give_up_reports(self, why: str) -> None:
        for command in list(self._reports_asked):
            self._answer_report(command, {"ok": False, "error": why})

    def _restart(self, command: Command, runtime: Runtime) -> None:
        """The answer leaves before the connection does: a publisher that stops sends what it was handed."""
        log.warning("a restart was asked for %s", "over MQTT" if command.answer is None else "on the request socket")
        self.reply(command, {"ok": True, "error": None})
        self.restart_asked = True

    def _start_self_test(self, command: Command, runtime: Runtime) -> None:
        problem = self._self_test.start()
        if problem:
            self.reply(command, {"ok": False, "error": problem})
        else:
            self._self_test_asked = command


def _taken(waiting: queue.Queue[Command]) -> list[Command]:
    """What waits there, at most as many as there is room for."""
    taken: list[Command] = []
    with suppress(queue.Empty):
        while len(taken) < MOST_ASKED:
            taken.append(waiting.get_nowait())
    return taken
