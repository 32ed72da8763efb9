"""Which edges of a button's line are presses, and when there are more than a hand gives. Pure: time comes in."""

import math
from collections import deque
from dataclasses import dataclass, field

PRESS_S = 0.3
"""An edge so soon after a press is part of it: contacts bounce."""
TOO_MANY = ((10, 10.0), (30, 300.0))
"""So many presses within so many seconds, with nothing to silence, come from a contact that chatters, quickly or slowly."""
QUIET_S = 20.0
"""A contact that has been quiet for so long chatters no more; longer than between the presses that are too many."""
HELD_S = 1.0
"""A contact that chatters does not stay closed for so long: a hand holds it."""
CHATTERS = (
    f"its contact chatters: until it has been quiet for {QUIET_S:g} s it silences an alarm only when it is held down for"
    f" {HELD_S:g} s; see its wiring and bias, and set debounce_ms = 20 or more"
)


@dataclass(slots=True)
class Presses:
    """Those of one button."""

    chatters: bool = False
    _presses: "deque[float]" = field(default_factory=lambda: deque(maxlen=max(most for most, _ in TOO_MANY)))
    """Those that silenced nothing: a hand that silences alarm after alarm does what the button is for."""
    _press_s: float = -math.inf
    _edge_s: float = -math.inf
    _is_held: bool = False

    def edge(self, now_s: float, silences: bool) -> bool:
        """Take in that the line became active; return whether that is a press to be followed. `silences`: one would silence
        something now.
        """
        self.settle(now_s)
        self._edge_s, self._is_held = now_s, False
        if self.chatters or now_s - self._press_s < PRESS_S:
            return False
        self._press_s = now_s
        if silences:
            return True
        self._presses.append(now_s)
        self.chatters = any(
            len(self._presses) >= most and now_s - self._presses[-most] < seconds for most, seconds in TOO_MANY
        )
        return not self.chatters

    def held(self, now_s: float) -> bool:
        """Take in that the line is active; return whether a button that is otherwise not heard has now been held down for long
        enough. Only once: a contact that sticks would silence all that comes.
        """
        if not self.chatters or self._is_held or now_s - self._edge_s < HELD_S:
            return False
        self._is_held = True
        return True

    def settle(self, now_s: float) -> None:
        """Notice that it has been quiet for long enough."""
        if self.chatters and now_s - self._edge_s >= QUIET_S:
            self.chatters = False
            self._presses.clear()
