"""The interface for programs is tried with made-up requests by schemathesis: console and daemon are the real ones."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support.console import Console
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import until

from edged.console.pages.api import OPERATIONS

pytestmark = needs_models
FUZZER = Path(sys.executable).with_name("schemathesis")
LONG_S = 600
RULES = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "503"]
[checks.ignored_auth]
enabled = false
"""
"""503 is the answer while the daemon is started afresh, 404 that of a day without a report, and 409 that of a daemon that is busy
testing itself. Many wrong tokens, which that check shows, are answered 429; other tests hold what the console lets in."""


@contextmanager
def restarted(daemon: Daemon) -> Iterator[None]:
    """As systemd does, the daemon is started again whenever it ends."""
    ending = threading.Event()

    def keep() -> None:
        while not ending.is_set():
            try:
                daemon.wait(0.3)
            except subprocess.TimeoutExpired:
                continue
            daemon.start()

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        ending.set()
        keeper.join()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with (
        Daemon(folder / "daemon", {"door": looped(write_clip(folder / "clip.mp4"))}) as daemon,
        Console(folder, config=daemon.config) as console,
    ):
        daemon.start()
        console.start()
        assert daemon.serves()
        assert until(lambda: daemon.count("SELECT count(*) FROM events") > 0)
        with restarted(daemon):
            yield console


def fuzz(console: Console, folder: Path, token: str, *options: str, rules: str = RULES) -> str:
    """What the fuzzer says; fails the test where it has found anything."""
    (folder / "rules.toml").write_text(rules)
    url = f"http://127.0.0.1:{console.port}/api/v1"
    command = [FUZZER, "--config-file", folder / "rules.toml", "run", f"{url}/openapi.json", "--url", url, "--no-color"]
    command += ["--header", f"Authorization: Bearer {token}", "--generation-database", "none", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=2 * LONG_S)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"Tested: {len(OPERATIONS) - 1}" in done.stdout, "all but the document itself"
    assert "Traceback" not in console.log
    return done.stdout


@pytest.fixture(scope="module")
def token(console: Console) -> str:
    admin = console.claimed()
    admin.get("/access")
    return str(
        re.findall(r"edged_[\w-]{20,}", admin.post("/access/token", {"name": "fuzzer", "role": "admin"}).text)[0]
    )


def test_every_operation_keeps_its_word_at_the_edges_of_its_schema(
    console: Console, token: str, tmp_path: Path
) -> None:
    today = f'[parameters]\n"path.day" = "{datetime.now(timezone.utc):%Y-%m-%d}"\n'
    fuzz(console, tmp_path, token, "--phases", "coverage", "--seed", "1", rules=today + RULES)


@pytest.mark.long
def test_ten_minutes_of_made_up_requests(console: Console, token: str, tmp_path: Path) -> None:
    print(fuzz(console, tmp_path, token, "--max-time", str(LONG_S))[-2000:])
