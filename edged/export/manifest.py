"""The manifest of an export: it is written last, names its files by their hashes, and the manifest before it."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edged.config.section import Identifier
from edged.export.schema import PASSAGE, VOID, Row
from edged.report.tally import STATES

ROOT = "record/v=1"
"""Where everything lies in a place; a later version that old readers cannot read gets a folder of its own."""
DAY_FOLDER = re.compile(r"dt=(\d{4}-\d\d-\d\d)", re.ASCII)
MANIFEST = "manifest.json"
NAMESPACE = "edged-export"
"""Of the signatures: `ssh-keygen -Y verify -n edged-export`."""
MOST_BYTES = 64 * 1024
"""A manifest is smaller."""

Table = Literal["encounter", "cover"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _of_the_calendar(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_of_the_calendar)]
Count = Annotated[int, Field(ge=0, le=2**53)]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]


class _Part(BaseModel):
    """Keys of later versions are passed over; a true is no 1, nor is a text or 1.0."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class DataFile(_Part):
    """One file of rows."""

    name: FileName
    table: Table
    rows: Count
    bytes: Count
    sha256: Sha256


class Previous(_Part):
    """The manifest before, whose name leads to it."""

    local_day: Day
    name: FileName
    sha256: Sha256


class Sums(_Part):
    """Passages in open hours by outcome, those outside them, and what was taken back, in this manifest's own file."""

    correct: Count = 0
    incorrect: Count = 0
    none: Count = 0
    uncertain: Count = 0
    outside: Count = 0
    void: Count = 0


class SummedUp:
    """Rows that are counted while they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self._outcomes: Counter[str] = Counter()
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            outcome = row.get("outcome", "")
            if outcome == VOID:
                self._outcomes[VOID] += 1
            elif outcome in STATES and row["kind"] == PASSAGE:
                self._outcomes[outcome if row["in_open"] else "outside"] += 1
            yield row

    @property
    def sums(self) -> Sums:
        return Sums(**{name: self._outcomes[name] for name in Sums.model_fields})


class Manifest(_Part):
    """What one export of one day holds."""

    v: Annotated[int, Field(ge=1, le=1)] = 1  # Literal[1] would take true
    schema_v: Count
    device_id: Identifier
    site: str
    chain: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Drawn when the device exported for the first time: two devices with one id have two."""
    number: Annotated[int, Field(ge=1, le=999_999_999)]
    """1 for the device's first manifest, and so on without a gap."""
    seq: Annotated[int, Field(ge=1, le=2**31 - 1)]
    """1 for the first export of the day, and one more for each with late changes."""
    local_day: Day
    tz: str
    created_ms: Annotated[int, Field(ge=-(2**53), le=2**53)]
    files: tuple[DataFile, ...]
    sums: Sums
    unasked: tuple[Identifier, ...] = ()
    """The cameras that followed no masks on that day; earlier versions name none."""
    target_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    edged: str
    models: dict[str, str]
    config_sha256: str | None
    previous: Previous | None

    def text(self) -> bytes:
        """Canonical JSON: what is hashed, signed and sent."""
        plain = self.model_dump(mode="json")
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Name(NamedTuple):
    """What a file's name says: whose it is, of which number, and the first digits of its SHA-256."""

    device_id: str
    number: int
    sha8: str
    ending: str

    def __str__(self) -> str:
        return f"{self.device_id}-{self.number:06d}-{self.sha8}.{self.ending}"


_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,62})-([0-9]{6,9})-([0-9a-f]{8})\.([a-z0-9.]+)")


def parse_name(text: str) -> Name | None:
    """None of a name that no export gives."""
    match = _NAME.fullmatch(text)
    return Name(match[1], int(match[2]), match[3], match[4]) if match else None


def named(device_id: str, number: int, data: bytes, ending: str) -> str:
    """The name that goes with the content."""
    return str(Name(device_id, number, sha256(data)[:8], ending))


def folder_of(day: date | str) -> str:
    """Where a day's files lie, below a place."""
    return f"{ROOT}/dt={day}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
