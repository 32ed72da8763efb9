"""A real sound card, from the kernel's snd-aloop, which records what is played: the siren; pulled out, plugged in again."""

from collections.abc import Iterator

from tests.vm.lab import Lab

BEGINS = "serving"


def run(lab: Lab) -> Iterator[str]:
    lab.machine.boot()
    lab.guest("card.sh", 400)
    yield lab.guest("heard.sh", 400, when="tried out").strip().splitlines()[-1]
    yield lab.guest("gone.sh", 400).strip().splitlines()[-1]
    lab.guest("back.sh", 400)
    yield lab.guest("heard.sh", 400, when="plugged in again").strip().splitlines()[-1]
