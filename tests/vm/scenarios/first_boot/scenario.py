"""One file on a stick sets up the box; a mistake changes nothing and is told; a second boot does nothing."""

from collections.abc import Iterator

from tests.vm.lab import CONFIG, Lab

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
MISTAKE_IN_LINE_7 = "# Our entrance\n\n" + SETTINGS.replace("fps = 5", "fbs = 5")


def pictures(number: int) -> bytes:
    """A file that can be told from the others by its rate of pictures."""
    return SETTINGS.replace("fps = 5", f"fps = {number}").encode()


def run(lab: Lab) -> Iterator[str]:
    machine = lab.machine
    stick = machine.make_stick("EDGED", {"edged.toml": MISTAKE_IN_LINE_7.encode()})
    machine.boot(*machine.plugged(stick))
    lab.guest("untouched.sh")
    lab.guest("clip.sh")
    machine.unplug(stick)
    told = machine.on_stick(stick)["edged-ERROR.txt"]
    assert "line 7: " in told, told
    assert "fbs" in told, told
    yield "a mistake: " + told.splitlines()[1]

    stick = machine.make_stick("EDGED", {"edged.toml.txt": SETTINGS.replace("\n", "\r\n").encode("utf-8-sig")})
    machine.plug(stick)
    lab.guest("set_up.sh", 400)
    machine.power_off()
    files = machine.on_stick(stick)
    assert "edged.toml.applied" in files, sorted(files)
    assert "s3cret" not in "".join(files.values()), "a password stayed on the stick"
    assert b"s3cret" not in stick.read_bytes(), "a password can still be read from the stick's sectors"
    yield "CRLF, BOM and .txt, on a stick that is plugged in later: taken at once, active, passwords gone from the stick"

    stick = machine.make_stick("EDGED", {"edged.toml": pictures(4)}, read_only=True)
    card = machine.make_stick("CIDATA", {"edged.toml": pictures(2)})
    machine.boot(*machine.plugged(card), *machine.plugged(stick))
    lab.guest("taken.sh", 400, fps=4, then=3)
    machine.power_off()
    assert list(machine.on_stick(card)) == ["edged.toml"], "the card's file was touched"
    yield "two partitions with a file each: that of the stick, which takes no writing, is taken"

    machine.boot(*machine.plugged(card), *machine.plugged(stick))
    lab.guest("taken.sh", 400, fps=3, then=3)
    yield "at the next boot neither is taken again"
