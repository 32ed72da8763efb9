"""Tells one message from another, however often it is sent."""

import json
from typing import Any

from edged import messages
from edged.errors import Failed
from edged.records import Message

DAMAGED = "a stored message cannot be read; `edged db check` examines the database"


def key_of(device: str, message: Message) -> str:
    """`<device>/<event_id>/<seq>` of an alert, `<device>/<day>/<revision>` of a daily report: printable ASCII, as its topic is.

    Raise Failed when a damaged database has made it anything else.
    """
    content = content_of(message)
    try:
        if is_report(message):
            key = f"{device}/{content['date']}/{content.get('revision', 1)}"
        else:
            key = f"{device}/{content['event_id']}/{content['seq']}"
    except KeyError as error:
        raise Failed(f"a stored message has no {error}") from None
    if not all(text.isascii() and text.isprintable() for text in (key, message.topic)):
        raise Failed(DAMAGED)
    return key


def is_report(message: Message) -> bool:
    return message.topic == messages.REPORT_DAILY.at()


def content_of(message: Message) -> dict[str, Any]:
    """What its payload holds. Raise Failed when a damaged database has made it unreadable."""
    try:
        content = json.loads(message.payload)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Failed(DAMAGED)
    return content
