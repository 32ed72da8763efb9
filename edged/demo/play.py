"""Plays the demo: scene, broker and subscriber here, the real daemon as a child process, the day's report at the end."""

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edged.capture.video import VideoFile
from edged.config import load_config
from edged.config.source import parse_source
from edged.demo.broker import DemoBroker, free_port
from edged.demo.scene import make_scene
from edged.demo.week import MADE_UP, SETTINGS, WEEK, report_files, write_weeks
from edged.errors import Failed, UsageError
from edged.files import read_regular
from edged.processes.program import run
from edged.store import Store

Say = Callable[[str, str], None]
"""Shows a line to a person, in a colour."""

ICONS = {"mask_none": ("✗", "red", "no mask"), "mask_incorrect": ("!", "blue", "mask worn incorrectly")}
FIRST_SHOWN = 1
"""Of the made-up week: Tuesday is an ordinary day, with a gap."""

SITE = "Demo entrance"
"""Stands in the report of what was played."""
MOST_PAGE_BYTES = 16 << 20
MOST_VERB_S = 120.0

MARGIN_S = 60.0
"""The daemon gets this much longer than the recording lasts: to start, and to finish on a slow machine."""
KILLED_S = 10.0


@dataclass(slots=True)
class Alerts:
    """What the subscriber receives, shown as it arrives."""

    say: Say
    violations: Counter[str] = field(default_factory=Counter)
    online: threading.Event = field(default_factory=threading.Event)

    def received(self, topic: str, text: str) -> None:
        """Take one message; alerts, availability and the daily figure are shown."""
        if topic.endswith("/violation"):
            alert = json.loads(text)
            icon, colour, words = ICONS.get(alert["event_type"], ("?", "white", alert["event_type"]))
            self.violations[alert["state"]] += 1
            score = f"score {alert['score']:.2f}, votes {sum(alert['votes'].values())}"
            self.say(f"  {icon} {alert['ts'][11:19]}Z  {alert['camera']}: {words}  ({score})", colour)
        elif topic.endswith("/availability"):
            self.say(f"  · {topic.split('/')[1]} is {text}", "cyan")
            if text == "online":
                self.online.set()


def play(
    source: Path | None,
    report: Path,
    say: Say,
    seconds: float | None = None,
    stay: Callable[[Counter[str]], None] | None = None,
) -> Counter[str]:
    """Run the whole job once; return the alerts by state. Raise Failed when the daemon does not come through,
    SourceLost when `source` shows nothing.

    `seconds` ends it so long after the daemon is up, for recordings of any length. `stay`, where somebody looks on: the scene
    begins anew again and again; once it has played, and its report is made, this is called with the alerts so far, and the
    scene ends when it returns.
    """
    if source is not None:
        _require_pictures(source)
    with tempfile.TemporaryDirectory(prefix="edged-demo-") as folder:
        work = Path(folder)
        alerts = Alerts(say)
        broker = DemoBroker(alerts.received)
        console: subprocess.Popen[str] | None = None
        recording, length_s = (source, None) if source else _scene(work, say)
        broker.start()
        try:
            loops = stay is not None and length_s is not None
            config = _write_config(work, recording, broker.port, loops=loops)
            console = _start_console(config, say)
            say(f"The daemon watches {recording.name}; this is what a subscriber to edged/demo/# receives:", "white")
            most_s = length_s + MARGIN_S if length_s else None
            if stay is not None and length_s is not None:
                with _running(config, work):
                    alerts.online.wait(MARGIN_S)
                    time.sleep(length_s)
                    _edged("report", "today", "--config", str(config), "--out", str(report))
                    stay(alerts.violations)
                return alerts.violations
            _run_daemon(config, work, most_s, alerts.online, ends_after_s=seconds)
        finally:
            broker.stop()
            if console is not None:
                console.terminate()
                _ended(console)
        _edged("report", "today", "--config", str(config), "--out", str(report))
    return alerts.violations


def make_week(folder: Path, say: Say) -> Path:
    """Make the report pages of a made-up week in `folder`, each DATE.html; return the one to open first.

    They come from the real store and `edged report`, in a temporary database. Raise Failed when they cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder}: cannot be made ({error.strerror}); choose another --week") from None
    with tempfile.TemporaryDirectory(prefix="edged-week-") as work:
        config, database = Path(work) / "edged.toml", Path(work) / "edged.db"
        config.write_text(f"{SETTINGS}\n[store]\npath = {json.dumps(str(database))}\n")
        with Store(database) as store:
            write_weeks(store, load_config(config))
        for day, file in zip(WEEK, report_files(folder), strict=True):
            _edged("report", str(day), "--config", str(config), "--out", str(file))
            say(f"  {file.name}", "white")
    return report_files(folder)[FIRST_SHOWN]


def refuse_others(report: Path, week: Path) -> None:
    """Raise UsageError where a page would be written over one that the demo did not make, as a site's own report is."""
    for page, mark, option in ((report, SITE, "--report"), *((page, MADE_UP, "--week") for page in report_files(week))):
        if page.is_file() and not _holds(page, mark):
            raise UsageError(f"{page}: is there already, and was not made by `edged demo`; choose another {option}")


def _holds(page: Path, mark: str) -> bool:
    try:
        return mark.encode() in read_regular(page, MOST_PAGE_BYTES)
    except (OSError, ValueError):
        return False


def _require_pictures(source: Path) -> None:
    """Raise SourceLost where there are none: the daemon waits for a camera that is away, and would for ever."""
    with closing(VideoFile(parse_source(source.absolute().as_uri()))) as video:
        video.skip()


def _scene(work: Path, say: Say) -> tuple[Path, float]:
    say("Drawing the scene: a portrait walks up to an entrance with and without a mask …", "white")
    scene = work / "entrance.mp4"
    return scene, make_scene(scene)


def _write_config(work: Path, recording: Path, port: int, *, loops: bool) -> Path:
    """A config for the real daemon, as anybody would write one."""
    source = f"file://{quote(str(recording.absolute()))}?realtime=1{'&loop=1' if loops else ''}"
    config = work / "edged.toml"
    config.write_text(
        f"""
[device]
id = "demo"
name = "Demo"
trust_clock = true

[camera.entrance]
source = {json.dumps(source)}

[store]
path = {json.dumps(str(work / "edged.db"))}

[mqtt]
host = "127.0.0.1"
port = {port}

[report]
site = "{SITE}"
requirement = "Masks are worn over mouth and nose."

[console]
port = {free_port()}
folder = {json.dumps(str(work / "console"))}
"""
    )
    return config


def _start_console(config: Path, say: Say) -> "subprocess.Popen[str] | None":
    """The pages for a browser, and the address that lets in whoever opens it first; None where it is not installed."""
    console = subprocess.Popen(
        [sys.executable, "-m", "edged", "console", "--once", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert console.stdout is not None  # noqa: S101
    patience = threading.Timer(MARGIN_S, console.kill)
    patience.start()
    try:
        address = console.stdout.readline().strip()
    except BaseException:  # as KeyboardInterrupt: nobody else knows of this process yet
        console.kill()
        _ended(console)
        raise
    finally:
        patience.cancel()
    if not address:
        _ended(console)
        return None
    say(f"See it in a browser, while it plays: {address}", "green")
    return console


def _ended(process: "subprocess.Popen[Any]") -> int:
    """The exit code of a daemon or console that was asked to stop; killed when it does not, which no driver must allow."""
    try:
        for patience_s in (MARGIN_S, KILLED_S):
            try:
                return process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
        return -signal.SIGKILL
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _run_daemon(
    config: Path, work: Path, most_s: float | None, online: threading.Event, *, ends_after_s: float | None
) -> None:
    """Run `edged run` until the recording has played, at most for `most_s`, or for `ends_after_s` once it is `online`."""
    log = work / "edged.log"
    with log.open("w") as output:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "edged", "run", "--config", str(config), "--until-played"], stderr=output
        )
        try:
            if ends_after_s:
                online.wait(MARGIN_S)  # a signal before would find it half loaded
            code = daemon.wait(ends_after_s or most_s)
        except subprocess.TimeoutExpired:
            daemon.send_signal(signal.SIGTERM)
            code = _ended(daemon)
            if not ends_after_s:
                raise Failed(f"the daemon did not finish in {most_s:.0f} s:\n{_tail(log)}") from None
        except BaseException:
            daemon.kill()
            daemon.wait(10)
            raise
    if code != 0:
        raise Failed(f"the daemon ended with exit code {code}:\n{_tail(log)}")


@contextmanager
def _running(config: Path, work: Path) -> Iterator[None]:
    """The daemon, until the end of the block. Raise Failed when it ends before."""
    log = work / "edged.log"
    with log.open("w") as output:
        daemon = subprocess.Popen([sys.executable, "-m", "edged", "run", "--config", str(config)], stderr=output)
        try:
            yield
            code = daemon.poll()
        finally:
            daemon.send_signal(signal.SIGTERM)
            _ended(daemon)
    if code:  # a key pressed here ends it in good order, too
        raise Failed(f"the daemon ended with exit code {code}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-5:])


def _edged(*arguments: str) -> None:
    """One verb. Raise Failed when it fails, or takes longer than MOST_VERB_S."""
    try:
        done = run([sys.executable, "-m", "edged", *arguments], MOST_VERB_S)
    except subprocess.TimeoutExpired:
        raise Failed(
            f"edged {arguments[0]} did not end within {MOST_VERB_S:g} s; see what else the machine is busy with"
        ) from None
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip().removeprefix("edged: ")
        raise Failed(told or f"edged {arguments[0]} ended with exit code {done.returncode}")
