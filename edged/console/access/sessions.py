"""Sessions in the console's own memory, on monotonic time: a wrong clock ends none, and a restart asks people to log in again.

All screens with the same viewer's token share one session. An account is a role's password, with room for MOST_EACH
sessions: one more ends the session of the same account that has been idle the longest. So nobody is refused, and no account
ends the sessions of another: not viewers the admin's, and not a screen that enters anew all day those of people.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from edged.console.access.state import Role, sha256_of

IDLE_S = 12 * 3600.0
LONGEST_S = 30 * 24 * 3600.0
MOST_EACH = 32


@dataclass(slots=True)
class Session:
    """One browser that has logged in."""

    role: Role
    password: str | None
    """The hash of the password in force at the login: with another one the session is over. None where a token let it in."""
    token: str | None
    """The hash of the token that let it in, if one did: the session is over when that is deleted."""
    csrf: str
    began_s: float
    used_s: float
    clear: dict[str, str] = field(default_factory=dict)
    """By camera, for what reason its admin has asked to see faces that are not hidden; asked by a form, never by a link."""

    @property
    def account(self) -> tuple[Role, str | None]:
        return self.role, self.token

    def is_over(self, now_s: float) -> bool:
        return now_s - self.used_s >= IDLE_S or now_s - self.began_s >= LONGEST_S


class Sessions:
    """By the SHA-256 of their tokens, the longest idle first; the tokens themselves are nowhere but in the browsers."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, role: Role, password: str | None, now_s: float, by: str | None = None) -> str:
        """The new session's token: a secret of its own, or `by`, the viewer's token that let it in."""
        token = by or secrets.token_urlsafe(32)
        new = Session(role, password, by and sha256_of(by), secrets.token_urlsafe(24), now_s, now_s)
        same = [key for key, session in self._sessions.items() if session.account == new.account]
        for key in same[: max(0, len(same) + 1 - MOST_EACH)]:
            del self._sessions[key]
        self._sessions[sha256_of(token)] = new
        return token

    def sweep(self, now_s: float, stands: Callable[[Session], bool]) -> None:
        """Forget what is over by time, or does not stand any more: their accounts may be gone."""
        for key, session in list(self._sessions.items()):
            if session.is_over(now_s) or not stands(session):
                del self._sessions[key]

    def find(self, token: str, now_s: float) -> Session | None:
        """The session of that token, which is now in use; None when there is none, or it is over."""
        key = sha256_of(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        if session.is_over(now_s):
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session

    def end(self, token: str) -> None:
        self._sessions.pop(sha256_of(token), None)
