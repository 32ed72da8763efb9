"""Runs in the guest: reads JSON lines {"script", "seconds"} from a virtio port, runs each, answers {"status", "said"}."""

import json
import subprocess
from pathlib import Path

PORT = Path("/dev/virtio-ports/agent")


def answer(asked):
    try:
        done = subprocess.run(
            ["/bin/sh", "-eu"],
            input=asked["script"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=asked["seconds"],
        )
    except subprocess.TimeoutExpired as late:
        return {"status": 124, "said": (late.output or b"").decode(errors="replace")}
    return {"status": done.returncode, "said": done.stdout}


with PORT.open("r+b", buffering=0) as port:
    port.write(b'{"status": 0, "said": "up"}\n')
    waiting = b""
    while True:
        byte = port.read(4096)
        waiting += byte or b""
        while b"\n" in waiting:
            line, waiting = waiting.split(b"\n", 1)
            said = json.dumps(answer(json.loads(line))).encode() + b"\n"
            while said:  # a port takes so much at a time
                said = said[port.write(said) :]
