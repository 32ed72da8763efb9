"""Passwords: Argon2id in an amount of memory that a board with 1 GB can spare, one at a time."""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edged.errors import UsageError

LEAST_CHARACTERS, MOST_CHARACTERS = 12, 256
MOST_WAITING = 8
HASHER = PasswordHasher(time_cost=3, memory_cost=19 * 1024, parallelism=1)
"""19 MiB, three passes, one lane: OWASP's least memory with one pass more. The library's own choice, 64 MiB on four lanes,
is too much for a board of 1 GB that watches cameras meanwhile."""
ONE_HASH = threading.Lock()
"""Held while hashing, to check a password or to set one: never takes more than 19 MiB at once."""


class Busy(Exception):
    """So many wait for their password to be checked that one more is sent away."""


def checked(password: str, again: str) -> str:
    """The password as it is hashed. Raise UsageError, with what would be right, when it will not do."""
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise UsageError(
            f"the password must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters; a few words are best"
        )
    if len(set(password)) < 4:
        raise UsageError("the password must have more than three different characters; a few words are best")
    if password != again:
        raise UsageError("the two passwords differ; type the same one twice")
    return password


def hash_of(password: str) -> str:
    with ONE_HASH:
        return HASHER.hash(_plain(password))


class Checker:
    """Verifies passwords one at a time, in a thread: each costs 19 MiB and a noticeable time."""

    def __init__(self) -> None:
        self._turn: anyio.Lock | None = None
        self._waiting = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of those that may wait for `verify`. Raise Busy when too many do."""
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether `password` is that of the hash `known`; as slow where there is none. For who has a `place`."""
        self._turn = self._turn or anyio.Lock()
        async with self._turn:
            right = await anyio.to_thread.run_sync(_matches, known or NO_ACCOUNT, password[:MOST_CHARACTERS])
        return right and known is not None


def _matches(known: str, password: str) -> bool:
    try:
        with ONE_HASH:
            return HASHER.verify(known, _plain(password))
    except (VerificationError, InvalidHashError):
        return False


def _plain(password: str) -> bytes:
    """The same bytes for the same characters, however a keyboard composes them."""
    return unicodedata.normalize("NFC", password).encode(errors="replace")


NO_ACCOUNT = "$argon2id$v=19$m=19456,t=3,p=1$bm9ib2R5bm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A hash that no password has."""
