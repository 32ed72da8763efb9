"""What access keeps on disk: one small JSON file that is replaced as a whole, by the console or the command line."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edged.errors import Failed, Unavailable
from edged.files import Stamp, lock, read_regular, stamp_of
from edged.files import replace as replace_file

Role: TypeAlias = Literal["viewer", "admin"]
"""A viewer sees figures, events and reports; an admin also changes things."""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: no letter that is taken for a digit, and none that makes words."""
CODE_LENGTH = 8
MOST_TOKENS = 20
MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Token:
    """What a program shows instead of a password; only its hash is kept."""

    name: str
    role: Role
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything that outlives the console's process."""

    code: str | None = None
    """What the first visitor must know; None once somebody knew it."""
    passwords: dict[Role, str] = field(default_factory=dict)
    """Argon2 hashes."""
    tokens: tuple[Token, ...] = ()

    @property
    def claimed(self) -> bool:
        return "admin" in self.passwords


class StateFile:
    """The file, read again whenever it was replaced. Thread-safe, and safe against other processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "access.json"
        self._known: tuple[Stamp | None, State] = (None, State())
        """What the file was, and what it held."""

    def open(self) -> State:
        """Make the folder, and a code where nobody has claimed yet. Raise Unavailable when it cannot be written."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self.path.parent}: cannot be made ({error.strerror}); see console.folder") from None
        return self.change(lambda state: state if state.claimed or state.code else replace(state, code=new_code()))

    def read(self) -> State:
        """Nothing where there is no file yet. Raise Unavailable when it cannot be read."""
        there = stamp_of(self.path)
        if there != self._known[0]:
            self._known = there, self._parsed()
        return self._known[1]

    def change(self, step: Callable[[State], State]) -> State:
        """Put `step` of the state in its place, unless that is the same. Raise Unavailable when it cannot be written."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not lock(folder):
                    raise Failed(f"{self.path}: another program changes it at this moment; try again")
                state = self._parsed()
                changed = step(state)
                if changed != state:
                    replace_file(self.path, json.dumps(asdict(changed)).encode())
                    self._hand_over()
                return changed
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(
                f"{self.path}: cannot be changed ({error.strerror}); run this as root or edged-console"
            ) from None

    def _hand_over(self) -> None:
        """What root writes on the command line belongs to the console, as its folder does."""
        if os.geteuid() == 0:
            owner = self.path.parent.stat()
            os.chown(self.path, owner.st_uid, owner.st_gid)

    def _parsed(self) -> State:
        try:
            raw = json.loads(read_regular(self.path, MOST_BYTES))
            return _state(raw)
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise Unavailable(
                f"{self.path}: cannot be read ({error.strerror}); run this as root or edged-console"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Unavailable(
                f"{self.path}: is damaged; delete it, and claim the console again with the code of `edged claim`"
            ) from None


def _state(raw: dict[str, Any]) -> State:
    passwords = {role: str(text) for role, text in raw["passwords"].items()}
    return State(raw["code"], passwords, tuple(Token(**token) for token in raw["tokens"]))


def new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def read_code(typed: str) -> str:
    """What a person meant who read it from a label or a screen: case, blanks and hyphens do not matter, O is 0, I and L are 1."""
    plain = "".join(typed.split()).replace("-", "").upper()
    return plain.translate(str.maketrans("OIL", "011"))


def sha256_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
