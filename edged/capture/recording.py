"""Looks at one recording in a process of its own: `python -m edged.capture.recording PARENT_PID URI FPS`.

Whoever opens a file on a disk or mount that does not answer hangs; this process may. It prints one line of JSON: what the
recording shows (`edged.capture.examine.Look`), or `{"lost": reason}`.
"""

import json
import sys
from dataclasses import asdict

from edged.capture.examine import judged
from edged.capture.sources import open_source
from edged.errors import SourceLost
from edged.processes.launch import die_with


def main(uri: str, wanted_fps: float) -> None:
    """Open, look at the first picture, and tell."""
    try:
        source = open_source(uri)
        if source.skip() is None:
            raise SourceLost("opens, but holds no picture; record it again")
        told: dict[str, object] = asdict(judged(source.picture(), None, wanted_fps))
    except SourceLost as error:
        told = {"lost": str(error)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(sys.argv[2], float(sys.argv[3]))
