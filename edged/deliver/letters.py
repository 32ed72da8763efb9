"""Writes the mails: the daily report with its page attached, and alerts in lines of their own."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import TemplateError

from edged.config import Config
from edged.errors import Failed
from edged.report import render_text
from edged.report.page import render_html
from edged.report.stored import flaw_of
from edged.report.table import day_csv
from edged.report.words import DISTRACTION_WORDS, DROWSINESS_WORDS, STATE_WORDS
from edged.store import StoreReader

WORDS = {"mask": STATE_WORDS, "inattention": DISTRACTION_WORDS, "drowsiness": DROWSINESS_WORDS}
CLOSING = "Sent by edged. Alerts and reports are about passages and events, and identify nobody."


def report_letter(config: Config, reader: StoreReader, report: Mapping[str, Any]) -> EmailMessage:
    """The report of a day. Raise Failed where what was stored is none of this version, StoreError without the database."""
    if flaw := flaw_of(report):
        raise Failed(f"a stored report cannot be made into a mail ({flaw}); send it with `edged report DATE --mail`")
    try:
        text, page = render_text(report), render_html(report)
        table = day_csv(reader, config, date.fromisoformat(report["date"]), report)
        revision = report.get("revision", 1)
        again = f", revision {revision}" if revision > 1 else ""
        heading = f"{report['site']}: report of {report['date']}{again}"
    except (LookupError, TypeError, ValueError, TemplateError) as error:
        raise Failed(f"a stored report cannot be made into a mail ({type(error).__name__})") from None
    return letter(heading, text, {f"{report['date']}.html": page, f"{report['date']}.csv": table})


def letter(heading: str, text: str, attached: Mapping[str, str]) -> EmailMessage:
    """A mail without sender and recipients; `attached` by file name, whose ending is its type."""
    written = EmailMessage()
    written["Subject"] = header(heading)
    written.set_content(f"{text}\n{CLOSING}\n")
    for name, content in attached.items():
        kind = name.rpartition(".")[2]
        written.add_attachment(
            content.encode(), maintype="text", subtype=kind, filename=name, params={"charset": "utf-8"}
        )
    return written


def alerts_letter(config: Config, alerts: Sequence[Mapping[str, Any]]) -> EmailMessage:
    """What happened, oldest first, a line each. Raise Failed where what was stored is no alert."""
    try:
        lines = [_line(config, alert) for alert in alerts]
        subject = lines[0].rpartition(": ")[2] if len(lines) == 1 else f"{len(lines)} alerts"
    except (LookupError, TypeError, ValueError) as error:
        raise Failed(f"a stored alert cannot be made into a mail ({type(error).__name__})") from None
    site = config.report.site or config.device.name
    return letter(f"{site}: {subject}", "\n".join(lines) + "\n", {})


def header(text: str) -> str:
    """Text as a header may hold it: on one line, whatever somebody wrote into a name."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _line(config: Config, alert: Mapping[str, Any]) -> str:
    """When, where, what."""
    zone = ZoneInfo(config.report.timezone)
    at = datetime.fromisoformat(str(alert["began"]).replace("Z", "+00:00")).astimezone(zone)
    camera = config.camera.get(alert["camera"])
    place = (camera and camera.name) or alert["camera"]
    what = WORDS.get(alert["kind"], {}).get(alert["state"], alert["state"])
    level = alert["details"].get("level")
    said = f"{what}, {level}" if level else what
    doubt = "" if alert["clock_synced"] else " (clock not set)"
    return header(f"{at:%Y-%m-%d %H:%M:%S}{doubt} {place}: {said}")
