"""The recorder gives what the stages found its identity and its time of day, whatever the clock does meanwhile."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.storing import HandClock, minute, started

from edged.store import (
    Change,
    CoverageMinute,
    EncounterRow,
    EventRecord,
    Message,
    Store,
    StoreReader,
)
from edged.store.recorder import Recorder
from edged.types import AttentionSummary, DrowsinessSummary, Encounter, Event, MaskState, Votes

TEN_YEARS_MS = 3652 * 86_400_000


class Kept:
    """A recorder with a clock set by hand, and what it submitted."""

    def __init__(self, *, publishing: bool = True) -> None:
        self.clock = HandClock()
        self.groups: list[Sequence[Change]] = []
        self.recorder = Recorder(self.clock, self.groups.append, publishing=publishing)

    def step(self, phase: str, key: str = "k", **values: object) -> None:
        keys = {
            "key": key, "kind": "mask", "phase": phase, "camera": "door", "track": 1,
            "time_s": self.clock.monotonic_s(), "state": "none", "score": 0.9, "votes": Votes(none=3),
        }  # fmt: skip
        self.recorder.record([Event(**keys | values)], [])

    def rows(self, kind: type) -> list:
        return [change for group in self.groups for change in group if isinstance(change, kind)]

    def steps(self, phase: str) -> list[EventRecord]:
        return [row for row in self.rows(EventRecord) if row.phase == phase]

    def payloads(self) -> list[dict]:
        return [json.loads(row.payload) for row in self.rows(Message) if row.topic == "events"]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_step_and_its_messages_belong_into_one_transaction(kept: Kept) -> None:
    kept.step("start", violation=True)
    ((row, lifecycle, alert),) = kept.groups
    assert isinstance(row, EventRecord)
    assert (lifecycle.topic, lifecycle.event_id, lifecycle.event_seq) == ("events", row.event_id, 1)
    assert (alert.topic, alert.event_id, alert.event_seq) == ("camera/door/violation", row.event_id, None)
    assert json.loads(alert.payload)["event_type"] == "mask_none"


def test_steps_are_numbered_without_a_gap(kept: Kept) -> None:
    for phase in ("start", "update", "update", "end"):
        kept.step(phase)
        kept.clock.pass_s(1)
    assert [(p["type"], p["seq"]) for p in kept.payloads()] == [("start", 1), ("update", 2), ("update", 3), ("end", 4)]
    assert len({p["event_id"] for p in kept.payloads()}) == 1
    assert kept.steps("end")[0].seq == 4
    assert [row.seq for row in kept.steps("update")] == [2, 3]


def test_no_event_ends_that_has_not_started(kept: Kept) -> None:
    with pytest.raises(KeyError):
        kept.step("end")
    kept.step("start")
    kept.step("end")
    with pytest.raises(KeyError):
        kept.step("end")


def test_identities_sort_by_time(kept: Kept) -> None:
    for number in range(200):
        kept.step("start", key=str(number))
        kept.clock.pass_s(random.Random(number).choice([0, 0.001, 0.5]))
    identities = [row.event_id for row in kept.steps("start")]
    assert identities == sorted(identities)
    assert len(set(identities)) == 200


def test_what_the_start_told_is_still_there_at_the_end(kept: Kept) -> None:
    kept.step("start", details={"held_back": "cooldown"})
    kept.step("end")
    assert kept.steps("end")[0].details == {"held_back": "cooldown"}
    assert kept.payloads()[1]["details"] == {"held_back": "cooldown"}


def test_a_violation_stays_one_from_the_step_that_alerted_to_the_end(kept: Kept) -> None:
    kept.step("start", details={"held_back": "cooldown"})
    kept.step("update", violation=True)
    kept.step("update")
    kept.step("end")
    told = [(payload["type"], payload["violation"]) for payload in kept.payloads() if "type" in payload]
    assert told == [("start", False), ("update", True), ("update", True), ("end", True)]


@pytest.mark.parametrize(
    ("kind", "details", "violation"),
    [
        ("mask", {}, True),
        ("drowsiness", {"level": "alarm"}, True),
        ("inattention", {"held_back": "not wanted"}, False),
        ("camera", {"reason": "no pictures"}, False),
        ("system", {}, False),
    ],
)
def test_an_end_by_restart_tells_whether_the_event_was_a_violation(
    tmp_path: Path, kept: Kept, kind: str, details: dict[str, object], violation: bool
) -> None:
    at = kept.clock.utc_ms() - 60_000
    with Store(tmp_path / "edged.db") as store:
        store.write([started("A", at, kind=kind, details=details)])
        kept.recorder.end_left_open(store.open_events(), store.last_known())
    assert [payload["violation"] for payload in kept.payloads()] == [violation]


def test_without_a_broker_no_messages_pile_up() -> None:
    kept = Kept(publishing=False)
    kept.step("start", violation=True)
    kept.step("end")
    assert kept.rows(Message) == []
    assert len(kept.groups) == 2


def test_an_instant_event_takes_no_time(kept: Kept) -> None:
    kept.recorder.system_event("started", {})
    (start,), (end,) = kept.steps("start"), kept.steps("end")
    assert start.started_at == end.ended_at == end.started_at == kept.clock.utc_ms()


@pytest.mark.parametrize("jump_ms", [1500, -1500, TEN_YEARS_MS, -TEN_YEARS_MS])
def test_a_clock_set_meanwhile_moves_start_and_end_but_not_what_lies_between(kept: Kept, jump_ms: int) -> None:
    kept.step("start")
    kept.clock.pass_s(3)
    kept.clock.set_by(jump_ms)
    kept.step("update")
    kept.clock.pass_s(4)
    kept.step("end")
    (end,) = kept.steps("end")
    assert end.ended_at == kept.clock.utc_ms()
    assert end.ended_at - (end.started_at or 0) == 7000
    assert end.clock_ok is True


def test_forty_jumps_of_the_clock_make_no_negative_duration(kept: Kept) -> None:
    chance = random.Random(7)
    kept.clock.is_trusted = False
    for number in range(40):
        kept.step("start", key=str(number))
        kept.recorder.analysed("door", kept.clock.monotonic_s(), 1)
        kept.clock.pass_s(chance.uniform(0, 20))
        kept.clock.set_by(chance.choice([-1, 1]) * chance.choice([1, 1000, 3_600_000, TEN_YEARS_MS]))
        kept.recorder.seen("door", 5, 0, "online")
        kept.recorder.record([], [_encounter(kept, lasted_s=2.0)])
        kept.step("end", key=str(number))
    kept.recorder.flush()
    assert all(0 <= row.ended_at - row.started_at <= 20_001 for row in kept.steps("end"))
    assert all(row.last_seen - row.first_seen == 2000 for row in kept.rows(EncounterRow))
    assert all(0 <= row.watched_ms <= 60_000 for row in kept.rows(CoverageMinute))
    assert sum(row.frames_seen for row in kept.rows(CoverageMinute)) == 200


def test_a_clock_at_the_epoch_or_before_is_survived(kept: Kept) -> None:
    kept.clock.utc = -5000
    kept.step("start", violation=True)
    kept.clock.set_by(TEN_YEARS_MS)
    kept.step("end")
    assert kept.steps("end")[0].ended_at >= 0
    assert kept.payloads()[0]["start"] == "1969-12-31T23:59:55.000Z"


@pytest.mark.parametrize("damaged", [2**62, -(2**62)])
def test_an_instant_that_a_failing_disk_has_damaged_does_not_keep_the_daemon_from_starting(
    kept: Kept, damaged: int
) -> None:
    kept.step("start")
    left_open = replace(kept.steps("start")[0], started_at=damaged, began_at=None)
    kept.recorder.end_left_open([left_open], kept.clock.utc)
    assert kept.payloads()[-1]["start"] in ("0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")


def _encounter(kept: Kept, lasted_s: float) -> Encounter:
    now = kept.clock.monotonic_s()
    return Encounter("e", "door", 1, now - lasted_s, now, MaskState.NONE, 0.9, Votes(none=2), 30.0, 40.0, False)


def test_an_encounter_brings_its_summaries_with_no_more_digits_than_were_measured(kept: Kept) -> None:
    attention = AttentionSummary(30.123456, 4.0, 1.5, 1)
    drowsiness = DrowsinessSummary("warning", None, 1.23456789, None, 2, 30.0)
    kept.recorder.record([], [replace(_encounter(kept, 1.0), attention=attention, drowsiness=drowsiness)])
    kept.recorder.record([], [_encounter(kept, 1.0)])
    full, bare = kept.rows(EncounterRow)
    assert full.attention == {"attentive_s": 30.123, "away_s": 4.0, "unknown_s": 1.5, "distractions": 1}
    assert full.drowsiness == {
        "worst_level": "warning", "highest_perclos": None, "longest_closure_s": 1.235, "yawns": None, "nods": 2,
        "valid_s": 30.0,
    }  # fmt: skip
    assert bare.attention is bare.drowsiness is None


@pytest.mark.parametrize(
    ("kind", "state", "event_type"),
    [
        ("inattention", "long", "inattention_long"),
        ("inattention", "repeated", "inattention_repeated"),
        ("drowsiness", "microsleep", "drowsiness_microsleep"),
        ("drowsiness", "nodding", "drowsiness_nodding"),
    ],
)
def test_distractions_and_drowsiness_alert_as_masks_do(kept: Kept, kind: str, state: str, event_type: str) -> None:
    details = {"level": "warning", "closure_s": 1.1}
    kept.step("start", kind=kind, state=state, votes=None, score=None, violation=True, details=details)
    ((row, lifecycle, alert),) = kept.groups
    assert (row.kind, row.state, row.votes, row.score) == (kind, state, None, None)
    assert json.loads(lifecycle.payload)["details"] == details
    payload = json.loads(alert.payload)
    assert (alert.topic, payload["event_type"]) == ("camera/door/violation", event_type)
    assert payload["details"] == details


def test_an_update_that_alerts_lifts_what_held_the_start_back(kept: Kept) -> None:
    kept.step(
        "start", kind="drowsiness", state="yawning", votes=None, details={"held_back": "level", "level": "notice"}
    )
    kept.clock.pass_s(5)
    kept.step("update", kind="drowsiness", state="microsleep", votes=None, violation=True, details={"level": "warning"})
    assert kept.steps("update")[0].details == {"level": "warning"}
    (alert,) = [row for row in kept.rows(Message) if row.topic.endswith("violation")]
    payload = json.loads(alert.payload)
    assert (payload["event_type"], payload["seq"]) == ("drowsiness_microsleep", 2)


def test_an_encounter_keeps_its_identity_until_it_is_closed(kept: Kept) -> None:
    kept.recorder.record([], [_encounter(kept, 1.0)])
    kept.clock.pass_s(5)
    kept.recorder.record([], [_encounter(kept, 6.0)])
    first, second = kept.rows(EncounterRow)
    assert first.encounter_id == second.encounter_id
    assert first.first_seen == second.first_seen


def test_a_minute_is_stored_when_it_is_over_and_at_the_end(kept: Kept) -> None:
    kept.clock.utc -= kept.clock.utc % 60_000
    for _ in range(90):
        kept.recorder.analysed("door", kept.clock.monotonic_s(), 2)
        kept.recorder.seen("door", 15, 1, "stalled" if kept.clock.utc % 60_000 == 30_000 else "online")
        kept.clock.pass_s(1)
    (over,) = kept.rows(CoverageMinute)
    assert (over.frames_analysed, over.frames_seen, over.dropped, over.faces) == (60, 900, 60, 2)
    assert (over.watched_ms, over.camera_state) == (59_000, "stalled")
    kept.recorder.flush()
    assert [row.frames_analysed for row in kept.rows(CoverageMinute)] == [60, 30]
    kept.recorder.flush()
    assert len(kept.rows(CoverageMinute)) == 2


def test_the_minute_of_a_camera_that_has_stopped_is_stored_then(kept: Kept) -> None:
    for camera in ("door", "yard"):
        kept.recorder.seen(camera, 15, 0, "online")
    kept.recorder.finish("door")
    kept.recorder.finish("never there")
    assert [row.camera for row in kept.rows(CoverageMinute)] == ["door"]
    kept.recorder.flush()
    assert [row.camera for row in kept.rows(CoverageMinute)] == ["door", "yard"]


def test_pictures_far_apart_leave_a_hole_in_what_was_watched(kept: Kept) -> None:
    for gap in (1.0, 10.0, 1.0):
        kept.recorder.analysed("door", kept.clock.monotonic_s(), 0)
        kept.clock.monotonic += gap
    kept.recorder.flush()
    assert kept.rows(CoverageMinute)[0].watched_ms == 1000


def test_events_a_crash_left_open_are_ended_and_that_is_told(tmp_path: Path, kept: Kept) -> None:
    path = tmp_path / "edged.db"
    at = kept.clock.utc_ms() - 60_000
    with Store(path) as store:
        store.write([started("A", at, details={"held_back": "cooldown"}), minute(at=at + 20_000)])
        kept.recorder.end_left_open(store.open_events(), store.last_known())
        store.write(kept.groups[0])
        assert store.open_events() == []
    (row,) = StoreReader(path).events()
    assert (row["ended_at"], row["end_reason"], row["seq"]) == (at + 20_000, "restart", 2)
    assert (row["state"], row["votes"], row["details"]) == ("none", {"none": 3}, {"held_back": "cooldown"})
    (message,) = StoreReader(path).outbox_after(0, 10)
    payload = json.loads(message.payload)
    assert (payload["type"], payload["seq"], payload["end_reason"]) == ("end", 2, "restart")
    assert payload["violation"] is False


@pytest.mark.parametrize(("now", "last_known"), [(0, 0), (0, 10**13), (10**13, 0), (2_000_000, 1_500_000)])
def test_an_end_by_restart_is_never_before_its_start(kept: Kept, now: int, last_known: int) -> None:
    kept.clock.utc = now
    kept.recorder.end_left_open([started("A", 1_000_000, clock_ok=False)], last_known)
    (end,) = kept.steps("end")
    assert 1_000_000 <= end.ended_at <= max(now, 1_000_000)
