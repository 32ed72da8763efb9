"""Which edges of a button's line are presses, and when there are more than a hand gives. Pure: time comes in."""

import math
from collections import deque
from dataclasses import dataclass, field

PRESS_S = 0.3
"""An edge so soon after a press is part of it: contacts bounce."""
TOO_MANY = ((10, 10.0), (30, 300.0))
"""So many presses within so many seconds come from a contact that chatters, quickly or slowly."""
QUIET_S = 20.0
"""A contact that has been quiet for so long chatters no more; longer than between the presses that are too many."""
CHATTERS = (
    "its contact chatters: it is not heard, so that it silences no alarm, until it has been quiet for"
    f" {QUIET_S:g} s; see its wiring and bias, and set debounce_ms = 20 or more"
)


@dataclass(slots=True)
class Presses:
    """Those of one button."""

    chatters: bool = False
    _presses: "deque[float]" = field(default_factory=lambda: deque(maxlen=max(most for most, _ in TOO_MANY)))
    _edge_s: float = -math.inf

    def edge(self, now_s: float) -> bool:
        """Take in that the line became active; return whether that is a press to be followed."""
        self.settle(now_s)
        self._edge_s = now_s
        if self.chatters or (self._presses and now_s - self._presses[-1] < PRESS_S):
            return False
        self._presses.append(now_s)
        self.chatters = any(
            len(self._presses) >= most and now_s - self._presses[-most] < seconds for most, seconds in TOO_MANY
        )
        return not self.chatters

    def settle(self, now_s: float) -> None:
        """Notice that it has been quiet for long enough."""
        if self.chatters and now_s - self._edge_s >= QUIET_S:
            self.chatters = False
            self._presses.clear()
