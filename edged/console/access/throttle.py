"""How long one must wait after wrong passwords, codes and tokens: by address, and for all that were never right."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

T = TypeVar("T")

FREE = 5
"""So many wrong ones cost nothing: people mistype."""
LONGEST_S = 300.0
FORGOTTEN_S = 900.0
MOST_ADDRESSES = 1024
MOST_A_MINUTE = 20
"""Wrong ones of all addresses together, which slow down every address but those that were right before."""
MINUTE_S = 60.0


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    last_s: float = 0.0


class Throttle:
    """Pure: time comes in, in monotonic seconds."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Tries] = OrderedDict()
        self._all: deque[float] = deque(maxlen=MOST_A_MINUTE)
        self._known: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Seconds until this address may try; 0 when it may at once."""
        who = network_of(address)
        tries = self._addresses.get(who)
        own = 0.0
        if tries is not None and tries.wrong >= FREE and now_s - tries.last_s < FORGOTTEN_S:
            own = tries.last_s + min(LONGEST_S, 2.0 ** min(tries.wrong - FREE + 1, 16)) - now_s
        everybody = 0.0
        if who not in self._known and len(self._all) == MOST_A_MINUTE:
            everybody = self._all[0] + MINUTE_S - now_s
        return max(0.0, own, everybody)

    def wrong(self, address: str, now_s: float) -> None:
        who = network_of(address)
        tries = self._addresses.pop(who, _Tries())
        if now_s - tries.last_s >= FORGOTTEN_S:
            tries = _Tries()
        tries.wrong, tries.last_s = tries.wrong + 1, now_s
        _remember(self._addresses, who, tries)
        self._all.append(now_s)

    def right(self, address: str) -> None:
        who = network_of(address)
        self._addresses.pop(who, None)
        _remember(self._known, who, None)


def _remember(known: OrderedDict[str, T], who: str, what: T) -> None:
    known[who] = what
    known.move_to_end(who)
    while len(known) > MOST_ADDRESSES:
        known.popitem(last=False)


def network_of(address: str) -> str:
    """The address; of IPv6 its /64, which one machine has as a whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network(f"{parsed}/64", strict=False))
    return str(parsed)
