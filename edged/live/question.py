"""What a client asks for on the socket for live pictures: a line of JSON."""

import json
from typing import Any

LONGEST_TEXT = 200


def parsed_question(line: bytes) -> dict[str, Any]:
    """Raise ValueError, saying what is wrong, for what is no question."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("camera"), str):
        raise ValueError('not a question; one is JSON, as in {"camera": "door", "after": null}')
    after = content.get("after")
    texts = {key: content.get(key) or "" for key in ("viewer", "who", "reason")}
    if not all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts.values()):
        raise ValueError(f"viewer, who and reason are texts of at most {LONGEST_TEXT} characters")
    return {
        "camera": content["camera"][:LONGEST_TEXT],
        "after": after if type(after) is int else None,
        "clear": content.get("clear") is True,
        "picture": content.get("picture") is not False,
        **texts,
    }
