"""Decides who a request comes from, and lets people in."""

import hmac
import math
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from edged.console.access.passwords import Checker, hash_of
from edged.console.access.sessions import LONGEST_S, Session, Sessions
from edged.console.access.state import MOST_TOKENS, Role, State, StateFile, Token, read_code, sha256_of
from edged.console.access.throttle import Throttle
from edged.errors import UsageError
from edged.host.clock import SystemClock

ROLES: tuple[Role, ...] = ("viewer", "admin")
"""The later may do what the earlier may."""
ONCE_S = 900.0
SCREEN_S = 400 * 24 * 3600
"""A screen's cookie lives so long after its last page: browsers keep none for longer."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks."""

    role: Role
    session: Session | None = None
    """None for a program that shows a token."""

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class TooSoon(Exception):
    """Too many wrong ones: to be tried again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = math.ceil(seconds)


class LinkRefused(Exception):
    """An admin's token stood in an address."""


class Access:
    """The gate. Its methods run in the server's one thread of events, but for those that say otherwise."""

    def __init__(self, folder: Path, *, once: bool = False) -> None:
        """`once`: whoever shows `once_token` first, within ONCE_S, is let in as admin."""
        self.file = StateFile(folder)
        self.once_token: str | None = secrets.token_urlsafe(24) if once else None
        self._sessions = Sessions()
        self._throttle = Throttle()
        self._checker = Checker()
        self._clock = SystemClock()
        self._once_until_s = self._clock.monotonic_s() + ONCE_S

    @property
    def state(self) -> State:
        return self.file.read()

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None when nobody that is known. A wrong token counts as a wrong password. Raise TooSoon after many."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._bearer(request, shown.strip())
        token = request.cookies.get(cookie_name(request))
        session = self._session_of(token) if token else None
        return Visitor(session.role, session) if session is not None else None

    async def log_in(self, request: Request, role: Role, password: str) -> bool:
        """Whether it is that role's password. Raise TooSoon after many wrong ones, Busy when too many try at once.

        It counts as wrong until it turns out right: of many at once no more are tried than of one after the other.
        """
        with self._checker.place():
            self._try(request, role)
            right = await self._checker.verify(self.state.passwords.get(role), password)
        if right:
            self._throttle.right(address_of(request), role)
        return right

    def code_is(self, request: Request, code: str) -> bool:
        """Whether it is the code of a device that nobody has claimed yet. Raise TooSoon after many wrong ones."""
        self._try(request, "code")
        known = self.state.code
        right = known is not None and hmac.compare_digest(read_code(code).encode(errors="replace"), known.encode())
        if right:
            self._throttle.right(address_of(request), "code")
        return right

    def enter(self, request: Request, response: Response, shown: str) -> bool:
        """Let in whoever shows a token in an address; False when nobody knows it. Raise TooSoon after many wrong ones.

        An address stays in histories and logs. So it opens to the token of a start with `once`, which is worth nothing after
        its first use or ONCE_S, and to tokens of viewers, for screens. Raise LinkRefused for an admin's token.
        """
        if self._is_once(shown):
            self.once_token = None
            self.begin(request, response, "admin")
            return True
        visitor = self._bearer(request, shown)
        if visitor is None:
            return False
        if visitor.role != "viewer":
            raise LinkRefused
        self.begin(request, response, visitor.role, shown)
        return True

    def begin(self, request: Request, response: Response, role: Role, by: str | None = None) -> None:
        """Let the browser that `response` goes to be known as `role`; `by`: for as long as there is that viewer's token.

        Nobody stands at a screen who could log in again. So its cookie is the viewer's token itself, which outlives a restart,
        any time and any change of the password, and ends only when the token is deleted.
        """
        token = by or self._begin_session(role)
        _set_cookie(request, response, token, int(LONGEST_S) if by is None else SCREEN_S)

    def keep(self, request: Request, response: Response, session: Session) -> None:
        """Have a screen keep its cookie for as long again: browsers drop every one that is never renewed."""
        if session.token is not None:
            _set_cookie(request, response, request.cookies[cookie_name(request)], SCREEN_S)

    def end(self, request: Request, response: Response) -> None:
        """Forget the browser's session."""
        self._sessions.end(request.cookies.get(cookie_name(request), ""))
        response.delete_cookie(
            cookie_name(request), secure=request.url.scheme == "https", httponly=True, samesite="strict"
        )

    def set_password(self, role: Role, password: str | None, *, first: bool = False) -> None:
        """Change it, or with None take the role away; every session of that role is over. Takes a while: for a thread.

        `first`: raise UsageError where the device was claimed meanwhile.
        """
        known = None if password is None else hash_of(password)

        def step(state: State) -> State:
            if first and state.claimed:
                raise UsageError("somebody else has claimed this device at the same moment; log in with their password")
            others = {name: text for name, text in state.passwords.items() if name != role}
            passwords = others if known is None else {**others, role: known}
            return replace(state, passwords=passwords, code=None if role == "admin" else state.code)

        self.file.change(step)

    def add_token(self, name: str, role: Role) -> str:
        """A new token, which is shown this once. Raise UsageError when there are too many, or one has that name."""
        token = f"edged_{secrets.token_urlsafe(32)}"

        def step(state: State) -> State:
            if len(state.tokens) >= MOST_TOKENS:
                raise UsageError(f"there are {MOST_TOKENS} tokens already; delete one that is not used any more")
            if any(one.name == name for one in state.tokens):
                raise UsageError(f"there is a token called {name} already; choose another name, or delete it")
            return replace(state, tokens=(*state.tokens, Token(name, role, sha256_of(token))))

        self.file.change(step)
        return token

    def delete_token(self, name: str) -> None:
        self.file.change(lambda state: replace(state, tokens=tuple(one for one in state.tokens if one.name != name)))

    def _bearer(self, request: Request, shown: str) -> Visitor | None:
        hashed = sha256_of(shown)
        for token in self.state.tokens:
            if hmac.compare_digest(token.sha256, hashed):
                return Visitor(token.role)
        self._try(request, "token")
        return None

    def _session_of(self, token: str) -> Session | None:
        """The session that a browser's cookie stands for; a viewer's token begins one where there is none any more."""
        now_s, hashed = self._clock.monotonic_s(), sha256_of(token)
        session = self._sessions.find(token, now_s)
        if session is not None and self._stands(session):
            return session
        known = (one for one in self.state.tokens if one.role == "viewer")
        if not any(hmac.compare_digest(one.sha256, hashed) for one in known):
            return None
        return self._sessions.find(self._begin_session("viewer", token), now_s)

    def _begin_session(self, role: Role, by: str | None = None) -> str:
        """What its browser shows from now on. `by`: the viewer's token that it stands on, else it stands on the password."""
        now_s = self._clock.monotonic_s()
        self._sessions.sweep(now_s, self._stands)
        return self._sessions.begin(role, None if by else self.state.passwords.get(role), now_s, by)

    def _is_once(self, shown: str) -> bool:
        """Whether it is the token of a start with `once`, in time."""
        if self.once_token is None or self._clock.monotonic_s() >= self._once_until_s:
            return False
        return hmac.compare_digest(shown.encode(errors="replace"), self.once_token.encode())

    def _stands(self, session: Session) -> bool:
        """Whether what let it in still would."""
        state = self.state
        if session.token is None:
            return state.passwords.get(session.role) == session.password
        return any(token.sha256 == session.token and token.role == session.role for token in state.tokens)

    def _try(self, request: Request, account: str) -> None:
        """Count a try at `account` as wrong; `Throttle.right` takes that back. Raise TooSoon after many wrong ones."""
        address, now_s = address_of(request), self._clock.monotonic_s()
        wait_s = self._throttle.wait_s(address, account, now_s)
        if wait_s > 0:
            raise TooSoon(wait_s)
        self._throttle.wrong(address, account, now_s)


def address_of(request: Request) -> str:
    """Where the connection comes from; what a header says of it is not believed."""
    return request.client.host if request.client else ""


def _set_cookie(request: Request, response: Response, token: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie_name(request), token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict"
    )


def cookie_name(request: Request) -> str:
    """Over TLS browsers take the name for a promise that no other host and no plain page has set it."""
    return "__Host-edged" if request.url.scheme == "https" else "edged"
