"""What somebody meant who wrote a key or a value that is not there."""

import difflib
from collections.abc import Iterable
from zoneinfo import available_timezones

AS_NEAR = 0.5
CALLED = {"ssid": "wifi", "psk": "password", "ip": "address", "router": "gateway", "user": "username", "server": "host"}
"""Keys by the names that other programs give them."""


def nearest(written: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like what was written, whatever its capitals; None where none is like it."""
    names = {name.casefold(): name for name in known}
    if (called := CALLED.get(written.casefold())) in names:
        return names[called]
    near = difflib.get_close_matches(written.casefold()[:100], names, n=1, cutoff=AS_NEAR)
    return names[near[0]] if near else None


def did_you_mean(written: object, known: Iterable[str]) -> str:
    """To be put behind what is said of a value; empty where there is nothing to propose."""
    near = nearest(written, known) if isinstance(written, str) else None
    return f'; did you mean "{near}"?' if near is not None else ""


def not_a_zone(written: str) -> str:
    """What is said of a time zone that there is not; many are called by their city alone, in other capitals or with spaces."""
    name = written.strip().replace(" ", "_").replace("\\", "/").casefold()
    # Not Etc/GMT+1 for GMT+1: it lies on the other side of Greenwich.
    known = (zone for zone in available_timezones() if not zone.startswith("Etc/"))
    zones = sorted(zone for zone in known if name in (zone.casefold(), zone.casefold().rpartition("/")[2]))
    meant = f"; did you mean {' or '.join(zones)}?" if zones else ""
    return f"not an IANA time zone; names look like Europe/Madrid or America/New_York{meant}"
