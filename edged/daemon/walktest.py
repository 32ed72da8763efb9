"""The verb `walktest`: the daemon compares a finished walk test with what it recorded, and keeps the result in the record."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edged.config import Config
from edged.errors import EdgedError
from edged.records import MetaRow
from edged.report.walk import PASSAGES, meta_key, result_of, walk_steps
from edged.store import StoreReader

LONGEST_TEST_MS = 2 * 3_600_000


def keep_walk_test(
    asked: Mapping[str, Any],
    config: Config,
    reader: StoreReader,
    now_ms: int,
    submit: Callable[[Sequence[MetaRow]], None],
) -> dict[str, Any]:
    """Keep the test of `camera` that began at `since` (UTC milliseconds); `skip` are passages of others."""
    camera, since, skip = asked.get("camera"), asked.get("since"), asked.get("skip") or []
    if not isinstance(camera, str) or camera not in config.camera:
        return {"ok": False, "error": "camera: there is no such camera"}
    if not isinstance(since, int) or not now_ms - LONGEST_TEST_MS <= since <= now_ms:
        return {"ok": False, "error": "since: a walk test begins within the last two hours; begin it again"}
    if not isinstance(skip, list) or len(skip) > PASSAGES * 10:
        return {"ok": False, "error": "skip: must be a list of passages"}
    try:
        rows = list(reader.encounters(since, now_ms, camera))
    except EdgedError as error:
        return {"ok": False, "error": str(error)}
    steps = walk_steps(rows, config.camera[camera].mask, {str(passage) for passage in skip})
    if len(steps) < PASSAGES:
        return {"ok": False, "error": f"only {len(steps)} of {PASSAGES} passages were seen; go on walking"}
    result = result_of(config, camera, steps, now_ms)
    submit([MetaRow(meta_key(camera), json.dumps(result))])
    return {"ok": True, "error": None, **result}
