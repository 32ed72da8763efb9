"""The report's page on screens of several widths, laid out by a real browser."""

import html
import json
import random
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
from report_days import HOUR, config, door_and_cab, encounter, new_store, passages, span, violation, watched

from edged.report import build_period, build_report
from edged.report.page import render_html, render_period_html
from edged.store import StoreReader

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (320, 360, 400, 720, 768, 1200)
DAY = date(2026, 11, 19)
START, END = span(DAY)
ODDS = {"correct": 0.8, "incorrect": 0.06, "none": 0.08, "uncertain": 0.06}
LONG_NAME = "door-number-four-of-the-long-corridor"

# Each frame tells how wide its document is, and what stands out of it to the right, tables also out of their section; drawings
# cut themselves.
PROBE = """
<script>
onload = () => {
  const told = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, width = frame.clientWidth;
    const out = [...page.body.querySelectorAll("*")].filter((node) => !node.ownerSVGElement)
      .filter((node) => {
        const right = node.getBoundingClientRect().right;
        return right > width + 0.5 || (node.tagName == "TABLE" && right > node.parentElement.getBoundingClientRect().right + 0.5);
      })
      .map((node) => node.tagName + " " + node.textContent.slice(0, 30));
    const shown = (selector) => [...page.querySelectorAll(selector)].some((node) => node.getClientRects().length > 0);
    return { width, document: page.documentElement.scrollWidth, out, columns: shown(".broad"), rows: shown(".narrow") };
  });
  document.body.textContent = JSON.stringify(told);
};
</script>
"""


def page(folder: Path, *, profile: str = "entrance") -> str:
    """A day with everything that a page can hold, with names as long as they may be."""
    made = config(
        cameras=("door", LONG_NAME), profile=profile, site="Zentralverwaltungsgebäudehaupteingang " * 2, target_percent=85,
        requirement="Masks over mouth and nose. " * 8,
    )  # fmt: skip
    changes = passages(random.Random(3), [(START + 7 * HOUR, END - 4 * HOUR)], lambda _: 0.5, ODDS, LONG_NAME)
    changes += watched(START, START + 9 * HOUR, LONG_NAME) + watched(START, END)
    looks = {"attentive_s": 900.0, "away_s": 120.0, "unknown_s": 30.0, "distractions": 1}
    drowsy = {
        "worst_level": "alarm",
        "highest_perclos": 0.31,
        "longest_closure_s": 3.4,
        "yawns": 2,
        "nods": 1,
        "valid_s": 900.0,
    }
    if profile != "entrance":
        changes += [encounter(9999, START, "uncertain", attention=looks, drowsiness=drowsy)]
        changes += violation(9997, START + HOUR, "long", LONG_NAME, kind="inattention")
        changes += violation(9998, START + HOUR, "microsleep", LONG_NAME, kind="drowsiness")
    with new_store(folder, changes) as store:
        return render_html(build_report(StoreReader(store.path), made, DAY, END))


def laid_out(folder: Path, text: str) -> list[dict]:
    """What the browser makes of `text` at each of WIDTHS."""
    frame = f'srcdoc="{html.escape(text)}"></iframe>'
    frames = "".join(f'<iframe style="width:{width}px;height:800px;border:0" {frame}' for width in WIDTHS)
    file = folder / "probe.html"
    file.write_text(f"<!DOCTYPE html><body>{frames}{PROBE}</body>")
    command = [
        BROWSER,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'browser'}",
    ]
    command += ["--virtual-time-budget=20000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(html.unescape(done.stdout.split("<body>")[1].split("</body>")[0]))


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium")
@pytest.mark.parametrize("profile", ["entrance", "classroom", "driver"])
def test_the_page_fits_every_screen(tmp_path, profile):
    found = laid_out(tmp_path, page(tmp_path, profile=profile))
    assert [screen["width"] for screen in found] == list(WIDTHS)
    for screen in found:
        assert (screen["document"], screen["out"]) == (screen["width"], [])
        assert (screen["columns"], screen["rows"]) == (screen["width"] > 720, screen["width"] <= 720)


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: apt-get install chromium")
def test_a_week_of_a_door_and_a_cab_fits_every_screen(tmp_path):
    """Its table has all columns, and beside what all cameras watched stands what the door watched."""
    changes = passages(random.Random(3), [(START + 7 * HOUR, END - 4 * HOUR)], lambda _: 0.5, ODDS)
    changes += violation(9998, START + HOUR, "microsleep", "cab", kind="drowsiness") + watched(START, END)
    with new_store(tmp_path, changes) as store:
        week = build_period(StoreReader(store.path), door_and_cab(), "week", DAY, END)
    text = render_period_html(week)
    assert "(for masks 100.0 %)" in text
    for screen in laid_out(tmp_path, text):
        assert (screen["document"], screen["out"]) == (screen["width"], [])
