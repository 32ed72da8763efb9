"""A chromium of its own that nobody looks into, but for a moment now and then through its debugging pipe, no domain enabled.

Playwright keeps what a page has loaded; a browser that is left open for hours is to hold what it holds at a user's.
"""

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from support.chromium import PROGRAM

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")
LONGEST_WAIT_S = 60.0
READ_BYTES = 65536
DESCRIPTORS = 'exec "$0" "$@" 3<&{} 4>&{}'
"""Chromium reads commands from 3, and answers on 4."""


class Unwatched:
    """`with` one: it has `address` open, and is gone at the end."""

    def __init__(self, folder: Path, address: str) -> None:
        self._asks, self._hears = os.pipe(), os.pipe()
        inherited = self._asks[0], self._hears[1]
        options = (*OPTIONS, f"--user-data-dir={folder}")
        self._process = subprocess.Popen(
            ["sh", "-c", DESCRIPTORS.format(*inherited), PROGRAM or "chromium", *options, address],
            pass_fds=inherited,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for descriptor in inherited:
            os.close(descriptor)
        self._number, self._rest = 0, b""

    def __enter__(self) -> "Unwatched":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(LONGEST_WAIT_S)
        os.close(self._asks[1])
        os.close(self._hears[0])

    def evaluate(self, script: str) -> Any:
        """What `script` gives in the page that is open."""
        pages = self._ask("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in pages if one["type"] == "page")
        session = self._ask("Target.attachToTarget", {"targetId": page, "flatten": True})["sessionId"]
        try:
            asked = {"expression": script, "returnByValue": True}
            answer = self._ask("Runtime.evaluate", asked, session)
            assert "exceptionDetails" not in answer, answer
            return answer["result"].get("value")
        finally:
            self._ask("Target.detachFromTarget", {"sessionId": session})

    def _ask(self, method: str, asked: dict[str, Any] | None = None, session: str = "") -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": asked or {}}
        os.write(self._asks[1], json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        until_s = time.monotonic() + LONGEST_WAIT_S
        while True:
            answer = self._next(until_s)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer.get("result", {})  # type: ignore[no-any-return]

    def _next(self, until_s: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._hears[0]], [], [], max(0.0, until_s - time.monotonic()))
            if not ready or not (more := os.read(self._hears[0], READ_BYTES)):
                raise TimeoutError("the browser does not answer")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)  # type: ignore[no-any-return]

    def pages_mb(self) -> float:
        """What the processes that show pages keep for themselves, in megabytes."""
        return sum(own_mb(pid) for pid in self._renderers())

    def _renderers(self) -> list[int]:
        found, parents = list[int](), dict[int, int]()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                if b"--type=renderer" in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # ended meanwhile

        def is_ours(pid: int) -> bool:
            while pid > 1 and pid != self._process.pid:
                pid = parents.get(pid, 0)
            return pid == self._process.pid

        return [pid for pid in found if is_ours(pid)]


def own_mb(pid: int) -> float:
    """Anonymous and shared memory of a process in megabytes: what it fills itself. Pages of files come and go: not counted."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return (
        sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem", "VmSwap"))) * 1024 / 1e6
    )
