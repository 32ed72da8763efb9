"""How long one must wait after wrong passwords, codes and tokens: by address, and for all that were never right.

A right one takes back the wrong ones of its own account only: who knows the viewers' password gains no tries at the admin's.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

K = TypeVar("K")
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
    wrong: dict[str, int] = field(default_factory=dict)
    """By account."""
    last_s: float = 0.0


class Throttle:
    """Pure: time comes in, in monotonic seconds. `account`: what is tried to get at, of a few known names."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Tries] = OrderedDict()
        self._all: deque[tuple[float, str, str]] = deque(maxlen=MOST_A_MINUTE)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait_s(self, address: str, account: str, now_s: float) -> float:
        """Seconds until this address may try; 0 when it may at once."""
        who = network_of(address)
        tries = self._addresses.get(who)
        own = 0.0
        if tries is not None and now_s - tries.last_s < FORGOTTEN_S:
            wrong = sum(tries.wrong.values())
            own = tries.last_s + min(LONGEST_S, 2.0 ** min(wrong - FREE + 1, 16)) - now_s if wrong >= FREE else 0.0
        everybody = 0.0
        if (who, account) not in self._known and len(self._all) == MOST_A_MINUTE:
            everybody = self._all[0][0] + MINUTE_S - now_s
        return max(0.0, own, everybody)

    def wrong(self, address: str, account: str, now_s: float) -> None:
        who = network_of(address)
        tries = self._addresses.pop(who, _Tries())
        if now_s - tries.last_s >= FORGOTTEN_S:
            tries = _Tries()
        tries.wrong[account] = tries.wrong.get(account, 0) + 1
        tries.last_s = now_s
        _remember(self._addresses, who, tries)
        self._all.append((now_s, who, account))

    def right(self, address: str, account: str) -> None:
        """What was counted as wrong of this address and account, this try included, does not count any more."""
        who = network_of(address)
        if (tries := self._addresses.get(who)) is not None:
            tries.wrong.pop(account, None)
        kept = [one for one in self._all if one[1:] != (who, account)]
        self._all = deque(kept, MOST_A_MINUTE)
        _remember(self._known, (who, account), None)


def _remember(known: OrderedDict[K, T], who: K, what: T) -> None:
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
