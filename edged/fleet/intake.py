"""What a report may count of what devices sent, and what is wrong with it: what an engine cannot count is left out, and named."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from edged.errors import Failed
from edged.export.manifest import DataFile, Day, FileName, Manifest, Name, parse_name
from edged.export.schema import TABLES
from edged.fleet.engines import BadFiles, Fault, Question
from edged.fleet.values import malformed

OWNER = "fleet"
"""Stands with number 0 in the place of a device in the names of what was put together: those of devices begin at 1."""
MOST_ROUNDS = 50
"""So often a question is asked anew without files that cannot be counted."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """Something that is wrong with what a device sent, or did not; `day` is "" where it concerns no single day."""

    device_id: str
    local_day: str
    kind: str
    text: str


class Compacted(BaseModel):
    """What one file of many was made of: the data files whose rows it holds, all of them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    v: int
    local_day: Day
    files: tuple[DataFile, ...]
    replaces: frozenset[FileName]


class Part(NamedTuple):
    """What a manifest vouches for in one file, which may hold more than that."""

    path: Path
    table: str
    rows: int
    """Of the whole file."""
    name: str
    """Of the file that the device sent."""
    content: Counter[str]

    @property
    def identity(self) -> tuple[Path, str, frozenset[tuple[str, int]]]:
        return self.path, self.name, frozenset(self.content.items())


@dataclass(frozen=True, slots=True)
class Sent:
    """A manifest that is what it says."""

    manifest: Manifest
    path: Path
    name: Name

    @property
    def key(self) -> tuple[str, str]:
        return self.name.device_id, self.manifest.local_day


@dataclass(slots=True)
class Intake:
    """What a report may count: manifests, and where what they vouch for lies; and what is wrong."""

    parts: dict[Path, list[Part]] = field(default_factory=dict)
    """By manifest."""
    counted: list[Sent] = field(default_factory=list)
    refused: set[tuple[str, str]] = field(default_factory=set)
    """Device-days that a compaction holds, and that do not count."""
    troubles: set[Trouble] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    compactions: dict[str, list["Compacted"]] = field(default_factory=dict)

    def trouble(self, device_id: str, local_day: str, kind: str, text: str) -> None:
        self.troubles.add(Trouble(device_id, local_day, kind, text))

    @property
    def files(self) -> dict[str, list[Path]]:
        """Files of rows by table."""
        found = {(part.table, part.path) for sent in self.counted for part in self.parts[sent.path]}
        return {table: sorted(path for of, path in found if of == table) for table in TABLES}

    @property
    def again(self) -> set[tuple[str, str]]:
        """The device-days that came in several files."""
        return {key for key, number in Counter(sent.key for sent in self.counted).items() if number > 1}

    def question(self, first: date, last: date) -> Question:
        again = self.again
        rows: dict[Path, int] = {}
        vouched: defaultdict[tuple[Path, str, str], Counter[str]] = defaultdict(Counter)
        searched: set[Path] = set()
        met = set()
        for sent in self.counted:
            for part in self.parts[sent.path]:
                rows[part.path] = part.rows
                if +part.content and part.identity not in met:  # two devices with one id may have sent one file
                    met.add(part.identity)
                    vouched[(part.path, *sent.key)].update(part.content)
                if part.table == "encounter" and sent.key in again:
                    searched.add(part.path)
        refused = sorted(self.refused)
        return Question(
            self.files, sorted(again), str(first), str(last), rows, vouched, refused, sorted(searched), self._unasked()
        )  # fmt: skip

    def _unasked(self) -> list[tuple[str, str, str]]:
        """Which cameras of which device-days followed no masks: of several manifests of a day the last one says it."""
        last = {
            sent.key: sent.manifest.unasked
            for sent in sorted(self.counted, key=lambda sent: (sent.manifest.number, sent.name))
        }
        return sorted({(*key, camera) for key, cameras in last.items() for camera in cameras})

    def settle(self, first: date, last: date, ask: Callable[[Question], T]) -> T:
        """What `ask` makes of all that counts; what it cannot count is named and left out, and it is asked again."""
        whole = self.question(first, last)
        self._leave_out(malformed(whole.files, whole.rows))
        for _ in range(MOST_ROUNDS):
            try:
                return ask(self.question(first, last))
            except BadFiles as bad:
                self._leave_out(bad.faults)
        raise Failed(f"more than {MOST_ROUNDS} files cannot be read; the newest edged of a device may be at fault")

    def _leave_out(self, faults: Iterable[Fault]) -> None:
        """Count nothing of the manifests that these concern, and say so."""
        standing = {sent.path: sent for sent in self.counted}
        by_file: defaultdict[Path, list[Sent]] = defaultdict(list)
        by_key: defaultdict[tuple[str, str], list[Sent]] = defaultdict(list)
        for sent in self.counted:
            by_key[sent.key].append(sent)
            for part in self.parts[sent.path]:
                by_file[part.path].append(sent)
        for fault in faults:
            of_one = fault.device_id and _of_many(fault.path)
            holds = by_key[fault.device_id, fault.local_day] if of_one else by_file[fault.path]
            concerned = [sent for sent in holds if sent.path in standing]
            self._name(fault, concerned)
            for sent in concerned:
                standing.pop(sent.path, None)
        self.counted = list(standing.values())

    def _name(self, fault: Fault, concerned: Sequence[Sent]) -> None:
        """Add the fault to the troubles, of the device and day that it concerns."""
        day = fault.path.parent.name.removeprefix("dt=")
        if not _of_many(fault.path):
            for sent in concerned:
                self.trouble(*sent.key, fault.kind, f"{fault.text}; not counted")
        elif fault.device_id:
            key = fault.device_id, fault.local_day
            self.refused.add(key)
            self.trouble(
                *(key if concerned else ("", day)), fault.kind, f"{fault.text}; not counted: have it sent again"
            )
        else:
            self.trouble("", day, fault.kind, f"{fault.text}; not counted, have the files of that day sent again")


def _of_many(path: Path) -> bool:
    """Whether a file holds the rows of many devices."""
    name = parse_name(path.name)
    return name is not None and (name.device_id, name.number) == (OWNER, 0)
