"""Sessions in the console's own memory, on monotonic time: a wrong clock ends none, and a restart asks to log in again."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from edged.console.access.state import Role, sha256_of

IDLE_S = 12 * 3600.0
LONGEST_S = 30 * 24 * 3600.0
MOST = 64
"""Beyond it whoever has been away longest is logged out: nobody is refused."""


@dataclass(slots=True)
class Session:
    """One browser that has logged in."""

    role: Role
    password: str | None
    """The hash of the password in force at the login: with another one the session is over."""
    token: str | None
    """The hash of the token that let it in, if one did: the session is over when that is deleted."""
    csrf: str
    began_s: float
    used_s: float
    clear: dict[str, str] = field(default_factory=dict)
    """By camera, for what reason its admin has asked to see faces that are not hidden; asked by a form, never by a link."""


class Sessions:
    """By the SHA-256 of their tokens; the tokens themselves are nowhere but in the browsers."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, role: Role, password: str | None, now_s: float, by: str | None = None) -> str:
        """The new session's token; `by`: the hash of the program's token that it began with."""
        token = secrets.token_urlsafe(32)
        self._sessions[sha256_of(token)] = Session(role, password, by, secrets.token_urlsafe(24), now_s, now_s)
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return token

    def find(self, token: str, now_s: float) -> Session | None:
        """The session of that token, which is now in use; None when there is none, or it is over."""
        key = sha256_of(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        if now_s - session.used_s >= IDLE_S or now_s - session.began_s >= LONGEST_S:
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session

    def end(self, token: str) -> None:
        self._sessions.pop(sha256_of(token), None)
