"""Holds what a recording told against what is true of it: pure counting."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from convert.passages.play import Played
from convert.passages.truth import Alert, Area, Person, Truth
from edged.types import Box, Encounter, Event, MaskState

MOST_OF_IT = 0.5
"""A passage is somebody's when so much of what was seen of it was at their place."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one recording, or of several added up."""

    people: int = 0
    """Who must be told to have passed."""
    passages: int = 0
    """Passages told of people who are listed."""
    false: int = 0
    """Passages of nobody."""
    missed: int = 0
    doubled: int = 0
    wrong_state: int = 0
    """People whose longest passage says another mask state than is right."""
    alerts: int = 0
    """Alerts that are right."""
    false_alerts: int = 0
    missed_alerts: int = 0
    yawns: int = 0
    """Yawns that are true, of the people whose yawns were counted."""
    yawns_wrong: int = 0
    """Yawns told too many or too few."""

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Score)))


@dataclass(frozen=True, slots=True)
class Scored:
    """The counts, and one line for a person about everything that is wrong."""

    score: Score
    remarks: tuple[str, ...]


def score(truth: Truth, played: Played) -> Scored:
    """Count what is right and wrong."""
    owners = {one.track: _owner(truth, played.sightings.get(one.track, [])) for one in played.passages}
    by_person: dict[str, list[Encounter]] = {person.who: [] for person in truth.people}
    false = [one for one in played.passages if owners[one.track] is None]
    for one in played.passages:
        owner = owners[one.track]
        if isinstance(owner, Person):
            by_person[owner.who].append(one)
    remarks = [f"false passage {_span(one)}, {one.state}, largest face {one.largest_face:.0f} px" for one in false]
    people = [_score_person(person, by_person[person.who], remarks) for person in truth.people]
    total = sum(people, Score(false=len(false)))
    return Scored(total + _score_alerts(truth.alerts, played.alerts, remarks), tuple(remarks))


def _owner(truth: Truth, sightings: Sequence[tuple[float, Box]]) -> Person | Area | None:
    """Whose passage it is: most of its sightings were there."""
    if not sightings:
        return None
    counts: Counter[int] = Counter()
    candidates: list[Person | Area] = [*truth.people, *truth.uncounted]
    for time_s, box in sightings:
        for index, candidate in enumerate(candidates):
            there = candidate.is_at(time_s, box) if isinstance(candidate, Person) else candidate.holds(time_s, box)
            counts[index] += there
    # Of equals the first: people before areas.
    index, count = max(counts.items(), key=lambda item: (item[1], -item[0]), default=(0, 0))
    return candidates[index] if count >= MOST_OF_IT * len(sightings) else None


def _score_person(person: Person, passages: Sequence[Encounter], remarks: list[str]) -> Score:
    if not passages:
        if person.must:
            remarks.append(f"missed {person.who}")
        return Score(people=int(person.must), missed=int(person.must))
    if len(passages) > 1:
        remarks.append(f"{person.who} counted {len(passages)} times: {', '.join(_span(one) for one in passages)}")
    longest = max(passages, key=lambda one: one.last_seen_s - one.first_seen_s)
    wrong = bool(person.states) and longest.state not in {*person.states, MaskState.UNCERTAIN}
    if wrong:
        remarks.append(f"{person.who} is told {longest.state}")
    told = sum((one.drowsiness.yawns or 0) for one in passages if one.drowsiness)
    yawns_wrong = 0 if person.yawns is None else abs(told - person.yawns)
    if yawns_wrong:
        remarks.append(f"{person.who} yawns {person.yawns} times, told {told}")
    return Score(
        people=int(person.must),
        passages=len(passages),
        doubled=len(passages) - 1,
        wrong_state=int(wrong),
        yawns=person.yawns or 0,
        yawns_wrong=yawns_wrong,
    )


def _score_alerts(right: Iterable[Alert], told: Iterable[Event], remarks: list[str]) -> Score:
    """Each alert that is right answers for one told; a second one of the same is false."""
    left, good, false = list(right), 0, 0
    for event in told:
        match = next((alert for alert in left if _answers(alert, event)), None)
        if match is None:
            false += 1
            remarks.append(f"false alert at {event.time_s:.1f} s: {event.kind} {event.state}")
        else:
            left.remove(match)
            good += 1
    missed = [alert for alert in left if alert.must]
    remarks.extend(
        f"missed alert: {alert.kind} {' or '.join(sorted(alert.states))}, {alert.seconds[0]:.1f} to {alert.seconds[1]:.1f} s"
        for alert in missed
    )
    return Score(alerts=good, false_alerts=false, missed_alerts=len(missed))


def _answers(alert: Alert, event: Event) -> bool:
    in_time = alert.seconds[0] <= event.time_s <= alert.seconds[1]
    return alert.kind == event.kind and event.state in alert.states and in_time


def _span(one: Encounter) -> str:
    return f"{one.first_seen_s:.1f} to {one.last_seen_s:.1f} s"
