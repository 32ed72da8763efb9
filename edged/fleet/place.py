"""Finds what devices exported, and takes only what a manifest vouches for; whatever is wrong is named, by device and day."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from edged.errors import Unavailable, UsageError
from edged.export.manifest import (
    DAY_FOLDER,
    MANIFEST,
    MOST_BYTES,
    ROOT,
    DataFile,
    Manifest,
    Name,
    folder_of,
    parse_name,
    sha256,
)
from edged.export.schema import SCHEMA_V
from edged.files import read_regular
from edged.fleet.digests import faults_of
from edged.fleet.intake import OWNER, Compacted, Intake, Part, Sent
from edged.host.clock import DAY_MS, HOUR_MS
from edged.report.day import EPOCH

COMPACTED = "compact.json"
"""Ends the name of the manifest of files that `edged fleet compact` put in the place of many."""
MOST_COMPACTED_BYTES = 64 * 1024 * 1024
KNOWN_FOR_DAYS = 14
"""A device that exported in so many days before is missed when it does not."""
EXPORTED_WITHIN_MS = 2 * HOUR_MS
"""After the end of its day a device's timer has exported, and tried to send, once at least."""


class Place:
    """A folder with `record/v=1/` in it: where devices, rsync, rclone or a mounted bucket put their files."""

    def __init__(self, root: Path) -> None:
        """Raise Unavailable where nothing can be read, UsageError where it holds no exports."""
        self.root = root
        try:
            str(root).encode()
        except UnicodeEncodeError:  # an engine that is asked for such a file could not name it
            raise UsageError(
                f"{str(root)!r}: its name is not UTF-8; rename it, or mount it under another name"
            ) from None
        try:
            days = [match[1] for path in (root / ROOT).iterdir() if (match := DAY_FOLDER.fullmatch(path.name))]
        except OSError as error:
            raise Unavailable(f"{root}: cannot be read ({error.strerror}); name the folder that holds {ROOT}") from None
        self._days = sorted(days)
        later = sorted(path.name for path in (root / ROOT).parent.iterdir() if path != root / ROOT)
        self.later = [name for name in later if re.fullmatch(r"v=[0-9]+", name)]
        if not self._days and not self.later:
            raise UsageError(f"{root}: holds no exported day; devices write {ROOT}/dt=2026-11-19 and so on")

    def read(self, first: date, last: date, now_ms: int, expected: Iterable[str] = ()) -> Intake:
        """What was exported of these days, checked; `expected` devices are missed from the first day on."""
        intake = Intake()
        for version in self.later:
            intake.trouble("", "", "later schema", f"record/{version} is of a later edged: update this one to read it")
        found = self._manifests(intake, first, last, now_ms)
        self._take(intake, found)
        self._chains(intake, found)
        self._missing(intake, found, first, last, now_ms, set(expected))
        return intake

    def _names(self, day: str) -> list[str]:
        folder = self.root / folder_of(day)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def _manifests(self, intake: Intake, first: date, last: date, now_ms: int) -> list[Sent]:
        found = []
        for day in self._days:
            if not str(first) <= day <= str(last):
                continue
            for text in self._names(day):
                name = parse_name(text)
                if name is None or name.ending != MANIFEST:
                    continue
                path = self.root / folder_of(day) / text
                try:
                    found.append(_manifest(path, name, day, now_ms))
                except _Wrong as wrong:
                    intake.trouble(name.device_id, day, wrong.kind, str(wrong))
                    intake.known.add(name.device_id)
        return found

    def _compacted(self, intake: Intake, days: Iterable[str]) -> dict[str, list[Compacted]]:
        """For each day the whole compactions that hold nothing twice, those that hold most first."""
        chosen: dict[str, list[Compacted]] = {}
        for day in sorted(days):
            found = sorted(self._compactions(day), key=lambda one: (-len(one.replaces), str(one.files)))
            wrong = faults_of({self.root / folder_of(day) / file.name: file for one in found for file in one.files})
            for _, text in wrong.values():
                intake.trouble("", day, "file", f"{text}: it held files of many devices; have them sent again")
            whole = chosen.setdefault(day, [])
            for one in found:
                names = {self.root / folder_of(day) / file.name for file in one.files}
                if not names & wrong.keys() and all(one.replaces.isdisjoint(other.replaces) for other in whole):
                    whole.append(one)
        return chosen

    def _compactions(self, day: str) -> Iterator[Compacted]:
        for text in self._names(day):
            name = parse_name(text)
            if name and (name.device_id, name.number, name.ending) == (OWNER, 0, COMPACTED):
                try:
                    data = read_regular(self.root / folder_of(day) / text, MOST_COMPACTED_BYTES)
                    if sha256(data)[:8] == name.sha8:
                        yield Compacted.model_validate_json(data)
                except (OSError, ValueError):
                    continue  # what it held is missed, and named, device by device

    def _take(self, intake: Intake, found: Sequence[Sent]) -> None:
        """Take over the files of every manifest all of whose files are whole."""
        intake.compactions = self._compacted(intake, {one.manifest.local_day for one in found})
        held = {
            (day, name): one for day, several in intake.compactions.items() for one in several for name in one.replaces
        }
        single: dict[Path, DataFile] = {}
        for sent in found:
            own = intake.parts.setdefault(sent.path, [])
            for file in sent.manifest.files:
                content = Counter(row=file.rows)
                if file.table == "encounter":
                    content.update(sent.manifest.sums.model_dump())
                if (one := held.get((sent.manifest.local_day, file.name))) is None:
                    single[sent.path.parent / file.name] = file
                wholes = [file] if one is None else [part for part in one.files if part.table == file.table]
                own += [
                    Part(sent.path.parent / part.name, file.table, part.rows, file.name, content) for part in wholes
                ]
        wrong = faults_of(single)
        for sent in found:
            faults = {wrong[part.path] for part in intake.parts[sent.path] if part.path in wrong}
            for kind, text in sorted(faults):
                intake.trouble(*sent.key, kind, f"{text}; not counted: have it sent again")
            if not faults:
                intake.counted.append(sent)

    def _chains(self, intake: Intake, found: Sequence[Sent]) -> None:
        """Every manifest names the one before by its hash, and so by its name: it must be there."""
        chains: defaultdict[str, set[str]] = defaultdict(set)
        numbers: Counter[tuple[str, str, int]] = Counter()
        for sent in found:
            device, day, before = sent.name.device_id, sent.manifest.local_day, sent.manifest.previous
            chains[device].add(sent.manifest.chain)
            numbers[device, sent.manifest.chain, sent.manifest.number] += 1
            if before is None:
                if sent.manifest.number != 1:
                    intake.trouble(device, day, "broken chain", f"manifest {sent.manifest.number} names none before it")
                continue
            name, folder = parse_name(before.name), self.root / folder_of(before.local_day)
            linked = (
                name is not None
                and (name.device_id, name.number) == (device, sent.manifest.number - 1)
                and name.sha8 == before.sha256[:8]
            )
            if not linked or (folder.is_dir() and not (folder / before.name).is_file()):
                text = f"manifest {sent.manifest.number - 1}, of {before.local_day}, is not here, or is another one"
                intake.trouble(device, day, "broken chain", text)
        for device, names in chains.items():
            if len(names) > 1:
                text = "two devices use this id, or one has lost its exports: give each an id of its own"
                intake.trouble(device, "", "two chains", text)
        for device in {device for (device, _, _), times in numbers.items() if times > 1}:
            text = "two devices go on with the exports of one, as after copying a card: give each an id of its own"
            intake.trouble(device, "", "two chains", text)

    def _missing(
        self, intake: Intake, found: Sequence[Sent], first: date, last: date, now_ms: int, expected: set[str]
    ) -> None:
        """Days of known devices of which nothing came in time after they were over there."""
        today = (EPOCH + timedelta(milliseconds=now_ms)).date()
        seen: defaultdict[str, str] = defaultdict(lambda: str(last))
        newest: dict[str, Path] = {}
        for day in self._days:
            if str(first - timedelta(days=KNOWN_FOR_DAYS)) <= day <= str(last):
                for name in filter(None, map(_of_device, self._names(day))):
                    seen[name.device_id] = min(seen[name.device_id], day)
                    newest[name.device_id] = self.root / folder_of(day) / str(name)
            elif day > str(today + timedelta(days=1)):
                for device in {told.device_id for text in self._names(day) if (told := _of_device(text))}:
                    intake.trouble(device, day, "future", "exported a day that has not begun: its clock is wrong")
        intake.known |= {*seen, *expected}
        has = {(sent.name.device_id, sent.manifest.local_day) for sent in found}
        named = {(one.device_id, one.local_day) for one in intake.troubles}
        days = [str(first + timedelta(days=number)) for number in range((last - first).days + 1)]
        for device in sorted(intake.known):
            begins = str(first) if device in expected else seen[device]
            for day in days:
                missed = begins <= day <= str(today) and (device, day) not in has | named
                if missed and self._is_due(day, newest.get(device), now_ms):
                    intake.trouble(device, day, "silent", "sent nothing of this day")

    @staticmethod
    def _is_due(day: str, manifest: Path | None, now_ms: int) -> bool:
        """Whether what a device exports of `day` should be here by now, in the time zone of `manifest`, its newest."""
        try:
            told = Manifest.model_validate_json(read_regular(manifest, MOST_BYTES)) if manifest else None
            zone: tzinfo = ZoneInfo(told.tz) if told else timezone.utc
        except (OSError, ValueError, KeyError):  # the last: a zone that is not known here
            zone = timezone.utc
        over = datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), zone)
        return now_ms >= over.timestamp() * 1000 + EXPORTED_WITHIN_MS


class _Wrong(Exception):
    """Why a manifest is not believed."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def _manifest(path: Path, name: Name, day: str, now_ms: int) -> Sent:
    try:
        data = read_regular(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise _Wrong("manifest", f"its manifest cannot be read ({error}); not counted") from None
    if sha256(data)[:8] != name.sha8:
        raise _Wrong("manifest", "its manifest was altered or cut short; not counted: have it sent again")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise _Wrong("manifest", f"its manifest makes no sense ({where}); not counted") from None
    if manifest.schema_v > SCHEMA_V:
        raise _Wrong("later schema", f"wrote columns of version {manifest.schema_v}; not counted: update this edged")
    if (manifest.device_id, manifest.number, manifest.local_day) != (name.device_id, name.number, day):
        raise _Wrong("manifest", "its manifest is of another device or day than its name says; not counted")
    for file in manifest.files:
        own = parse_name(file.name)
        if own is None or own[:2] != name[:2] or own.sha8 != file.sha256[:8]:
            raise _Wrong("manifest", "its manifest lists a file of another one; not counted")
    if len({file.name for file in manifest.files}) < len(manifest.files):
        raise _Wrong("manifest", "its manifest lists a file twice; not counted")
    if manifest.created_ms > now_ms + DAY_MS:
        raise _Wrong("future", "exported this day at a time that has not come: its clock is wrong; not counted")
    return Sent(manifest, path, name)


def _of_device(text: str) -> Name | None:
    name = parse_name(text)
    return name if name and name.ending == MANIFEST else None
