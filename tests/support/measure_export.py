"""Measures the export of a busy day beside a running analysis: `make measure-export`, all in a temporary folder; three minutes.

The daemon analyses a clip that is played at a set rate. In turns it is left alone, and has exports run beside it, one after the
other without a pause, of its own database and as `edged-export.service` runs them; the frames that it analysed are counted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import fmean

from report_days import HOUR, span
from test_export_day import Site

from support.daemon import Daemon, looped, write_clip
from support.measure_fleet import EXPORT, fill_busy_day
from support.peak import PEAK_MB

RATE = 10
"""Frames a second that the daemon is asked for."""
FORMS = ("jsonl.gz", "parquet")
TURNS, TURN_S = 3, 12.0
NICE = 10
"""As in edged-export.service."""


def counted(daemon: Daemon) -> tuple[int, float]:
    """Frames analysed so far, and when they were counted."""
    while not (status := daemon.status()):
        if not daemon.is_running:
            sys.exit(daemon.log)
    return sum(camera["frames_analysed"] for camera in status["cameras"].values()), time.monotonic()


def main() -> None:
    day = datetime.now(timezone.utc).date() - timedelta(days=2)
    with tempfile.TemporaryDirectory(prefix="edged-measure-") as made:
        folder = Path(made)
        daemon = Daemon(folder / "daemon", {"door": looped(write_clip(folder / "clip.mp4"))})
        daemon.database.parent.mkdir()
        sites = {}
        for form in FORMS:
            (folder / form).mkdir()
            sites[form] = Site(folder / form, form)
        fill_busy_day(sites[FORMS[0]], day)
        store = sites[FORMS[0]].settings.store.path
        sites[FORMS[0]].store.close()
        shutil.move(store, daemon.database)
        commands = {}
        for form, site in sites.items():
            own = site.settings.store.model_copy(update={"path": daemon.database})
            settings = site.settings.model_copy(update={"store": own})
            (folder / form / "settings.json").write_text(settings.model_dump_json())
            tests, now = str(Path(__file__).parents[1]), span(day)[1] + HOUR
            code = EXPORT.format(peak=PEAK_MB, tests=tests, settings=str(folder / form / "settings.json"), now=now)
            commands[form] = ["nice", "-n", str(NICE), sys.executable, "-c", code]
        with daemon:
            daemon.start()
            if not daemon.serves():
                sys.exit(daemon.log)
            time.sleep(3)  # until the rate is steady
            _turns(folder, daemon, commands)


def _turns(folder: Path, daemon: Daemon, commands: dict[str, list[str]]) -> None:
    alone, beside, spent = [], defaultdict(list), defaultdict(list)
    for _ in range(TURNS):
        for form, command in commands.items():
            frames, began = counted(daemon)
            time.sleep(TURN_S)
            after, ended = counted(daemon)
            alone.append((after - frames) / (ended - began))
            frames, began = after, ended
            while (ended := time.monotonic()) - began < TURN_S:
                for old in (daemon.database.parent / "export", folder / form / "place"):
                    shutil.rmtree(old, ignore_errors=True)
                (folder / form / "place").mkdir()
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
                assert list((folder / form / "place").rglob("*.manifest.json")), done.stderr
                spent[form].append(tuple(map(float, done.stdout.split())))
            after, ended = counted(daemon)
            beside[form].append((after - frames) / (ended - began))
    rate = fmean(alone)
    print(
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {RATE} frames a second asked for, {rate:.2f} analysed"
    )
    for form in commands:
        cpu, more = (max(found) for found in zip(*spent[form], strict=True))
        print(
            f"export of 20,000 passages as {form}, {len(spent[form])} times: at most {cpu:.1f} s of CPU, {more:.0f} MB more"
            f" memory; beside it {fmean(beside[form]):.2f} frames a second, {100 * fmean(beside[form]) / rate:.1f} % of the rate"
        )
    print("goal: 2 s of CPU, 80 MB, 95 % of the rate")


if __name__ == "__main__":
    main()
