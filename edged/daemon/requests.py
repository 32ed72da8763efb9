"""Answers what clients ask on the request socket: questions at once, commands by the main thread."""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edged.capture.attached import attached
from edged.daemon.client import BUSY as BUSY_BEGINS
from edged.daemon.client import socket_path
from edged.daemon.commands import Answer, Commands
from edged.errors import EdgedError
from edged.publish.commands import Refusal, parse_request, result_document
from edged.sockets import LineServer

Question = Callable[[], Mapping[str, Any]]
BUSY = f"{BUSY_BEGINS} with other clients; ask again in a moment"


class Requests:
    """What `edged.daemon.client.request` asks; called from many threads at once."""

    def __init__(self, commands: Commands, questions: Mapping[str, Question]) -> None:
        """`questions` read only, do not wait for the main thread, and may be asked from any thread at any time."""
        self._commands = commands
        self._questions: dict[str, Question] = {"cameras": Exclusive(_cameras), **questions}

    def server(self, database: Path) -> LineServer:
        """The request socket of the daemon that writes `database`; not open yet."""
        busy = _text({"v": 1, "ok": False, "error": BUSY})
        return LineServer("status", socket_path(database), self.answer, use="`edged status`", busy=busy)

    def answer(self, line: bytes) -> bytes:
        """The document for one line; see `client.py`. Raises nothing, whatever the bytes."""
        asked = parse_request(line, self._questions)
        if isinstance(asked, Refusal):
            return _text(result_document({"ok": False, "error": asked.error}, asked))
        question = self._questions.get(asked.verb)
        if question is None:
            return _text(self._commands.ask(asked))
        try:
            return _text(question())
        except EdgedError as error:
            return _text(result_document({"ok": False, "error": str(error)}, asked))


class Exclusive:
    """A question that is answered to one client at a time; others hear that it is busy."""

    def __init__(self, question: Question) -> None:
        self._question, self._turn = question, threading.Lock()

    def __call__(self) -> Mapping[str, Any]:
        if not self._turn.acquire(blocking=False):
            return {"v": 1, "ok": False, "error": BUSY}
        try:
            return self._question()
        finally:
            self._turn.release()


def _cameras() -> Answer:
    """What is attached, as `edged cameras --json` has it."""
    return {"v": 1, "cameras": [camera.as_dict() for camera in attached()]}


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()
