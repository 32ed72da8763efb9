"""One file on a stick sets up the box; a mistake changes nothing and is told; a second boot does nothing."""

from collections.abc import Iterator
from pathlib import Path

from tests.vm.lab import CONFIG, Lab
from tests.vm.machine import Machine

SETTINGS = (
    CONFIG
    + """username = "edged"
password = "br0ker-s3cret"

[report]
timezone = "Europe/Madrid"

[network]
wifi = "Hall"
password = "w1fi-s3cret"
country = "ES"
"""
)


def stick(machine: Machine, files: dict[str, bytes], read_only: bool = False) -> Path:
    machine.extra_drives.clear()
    return machine.add_stick("EDGED", files, read_only)


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    machine.boot()
    lab.guest("clip.sh")
    machine.power_off()

    wrong = SETTINGS.lstrip("\n").replace("fps = 5", "fbs = 5")
    path = stick(machine, {"edged.toml": wrong.encode()})
    machine.boot()
    lab.guest("untouched.sh")
    machine.power_off()
    told = machine.on_stick(path)["edged-ERROR.txt"]
    assert "line 4: " in told, told
    assert "fps" in told, told
    yield "a mistake: " + told.splitlines()[1]

    path = stick(machine, {"edged.toml.txt": SETTINGS.replace("\n", "\r\n").encode("utf-8-sig")})
    machine.boot()
    lab.guest("set_up.sh", 400)
    machine.power_off()
    files = machine.on_stick(path)
    assert "edged.toml.applied" in files, sorted(files)
    assert "s3cret" not in "".join(files.values()), "a password stayed on the stick"
    assert b"s3cret" not in path.read_bytes(), "a password can still be read from the stick's sectors"
    yield "CRLF, BOM and .txt: taken, active, passwords gone from the stick"

    path = stick(machine, {"edged.toml": SETTINGS.replace("fps = 5", "fps = 4").encode()}, read_only=True)
    machine.boot()
    lab.guest("taken_once.sh", 400)
    machine.power_off()
    machine.boot()
    lab.guest("not_again.sh", 400)
    yield "a stick that takes no writing: taken once, and not again at the next boot"
