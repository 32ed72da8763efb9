"""The self-test that was asked for on a page or over the API last, and what came of it."""

import threading
from collections.abc import Mapping
from typing import Any

from edged.console.site import Site
from edged.errors import EdgedError


class SelfTest:
    """Asks the daemon in a thread of its own, since it takes minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running = False
        self.answer: Mapping[str, Any] | None = None
        self.error = ""

    def start(self, site: Site) -> None:
        """Does nothing while one runs."""
        with self._lock:
            if self.running:
                return
            self.running, self.answer, self.error = True, None, ""
        threading.Thread(target=self._run, args=(site,), name="selftest", daemon=True).start()

    def _run(self, site: Site) -> None:
        try:
            self.answer = site.ask("selftest")
            self.error = str(self.answer.get("error") or "")
        except EdgedError as error:
            self.error = str(error)
        finally:
            self.running = False


SELF_TEST = SelfTest()
