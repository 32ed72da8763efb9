"""The report's canonical JSON, the bytes its SHA-256 is taken of."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(report: Mapping[str, Any]) -> str:
    """Keys sorted, no blanks, no NaN: one report has one text."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def report_sha256(report: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(report).encode()).hexdigest()
