"""Which rules are true now, when an output is on, and what is heard: pure, on a clock moved by hand."""

from pathlib import Path

import pytest
from support.doubles import vote
from support.output_scenes import EMPTY, NOTHING, Stage, drowsy, event, outcome, told

from edged.config import Config, load_config
from edged.config.load import parse_config
from edged.outputs.activation import is_quiet
from edged.outputs.rules import LINGER_S, CameraRules
from edged.types import Frame, MaskState

CORRECT, NONE, UNCERTAIN = MaskState.CORRECT, MaskState.NONE, MaskState.UNCERTAIN


def config(cameras: tuple[str, ...] = ("door",), **outputs: dict) -> Config:
    sources = {name: {"source": f"file:///{name}.mp4", "fps": 10} for name in cameras}
    lines = {name: ({"line": name.upper()} if keys["kind"] != "sound" else {}) | keys for name, keys in outputs.items()}
    return parse_config({"camera": sources, "output": lines}, Path("edged.toml"))


def rules(seen) -> set[str]:
    return {cause.rule for cause in seen.causes}


def lamp(**keys):
    return {"kind": "gpio", "when": ["mask_none"], **keys}


def edges(stage: Stage, line: str) -> str:
    return told(stage.lines[line].changes)


# --- which rules are true


def test_a_rule_is_true_while_its_event_is_open_and_follows_its_state():
    door = CameraRules("door")
    assert rules(door.update(0, outcome(event("a", "start", 0)))) == {"mask_none"}
    assert rules(door.update(1, EMPTY)) == {"mask_none"}
    assert rules(door.update(2, outcome(event("a", "update", 2, state="incorrect")))) == {"mask_incorrect"}
    assert rules(door.update(3, outcome(event("a", "end", 3, why="corrected")))) == set()


@pytest.mark.parametrize(
    ("states", "true", "blocked"),
    [([], False, False), ([CORRECT], True, False), ([CORRECT, CORRECT], True, False), ([CORRECT, NONE], False, True),
     ([CORRECT, UNCERTAIN], False, True)],
)  # fmt: skip
def test_mask_correct_is_true_of_everybody_in_view_or_not_at_all(states, true, blocked):
    seen = CameraRules("door").update(0, outcome(masks=[vote(n, 0, state) for n, state in enumerate(states)]))
    assert (("mask_correct" in rules(seen)), seen.blocked) == (true, blocked)


@pytest.mark.parametrize(
    ("level", "true"),
    [("notice", {"notice", "perclos"}), ("warning", {"notice", "warning", "microsleep"}),
     ("alarm", {"notice", "warning", "alarm", "microsleep"})],
)  # fmt: skip
def test_a_level_includes_the_lesser_ones(level, true):
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    seen = CameraRules("door").update(0, outcome(start, drowsiness=[drowsy(1, 0, level)]))
    assert rules(seen) == {f"drowsiness_{name}" for name in true}


def asleep(cab: CameraRules) -> None:
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    assert "drowsiness_alarm" in rules(cab.update(0, outcome(start, drowsiness=[drowsy(1, 0, "alarm", 2.5)])))


def test_the_alarm_of_a_driver_who_sinks_out_of_sight_goes_on():
    cab = CameraRules("door")
    asleep(cab)
    seen = cab.update(1, outcome(event("d", "end", 1, kind="drowsiness", state="microsleep", why="left")))
    assert rules(seen) == {"drowsiness_alarm"}
    assert "drowsiness_alarm" in {cause.rule for cause in seen.at(1 + LINGER_S - 0.1)}
    assert seen.at(1 + LINGER_S) == frozenset()
    assert rules(cab.update(1 + LINGER_S, EMPTY)) == set()


def test_open_eyes_for_as_long_as_ends_a_closure_end_it_whoevers_they_are():
    cab = CameraRules("door")
    asleep(cab)
    cab.update(1, outcome(event("d", "end", 1, kind="drowsiness", state="microsleep", why="left")))
    for second in range(2, 11):
        seen = cab.update(second, outcome(drowsiness=[drowsy(2, second, "unknown", closed=False)]))
        assert rules(seen) == {"drowsiness_alarm"}, second
    assert rules(cab.update(11, outcome(drowsiness=[drowsy(2, 11, "unknown", closed=False)]))) == set()


def test_a_driver_who_is_seen_to_be_awake_leaves_no_alarm_behind():
    cab = CameraRules("door")
    asleep(cab)
    end = event("d", "end", 12, kind="drowsiness", state="microsleep", why="recovered")
    assert rules(cab.update(12, outcome(end, drowsiness=[drowsy(1, 12, "alert", closed=False)]))) == set()


# --- when an output is on


def test_a_button_silences_until_something_new_is_true():
    stage = Stage(config(lamp=lamp()))
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(5)
    assert stage.worker.acknowledge(None, "me") is None
    stage.pass_s(5)
    assert edges(stage, "LAMP") == "+0 -5.05"
    assert stage.worker.states()["lamp"].acknowledged
    stage.see(outcome(event("b", "start", 10)))
    assert edges(stage, "LAMP") == "+0 -5.05 +10"
    assert not stage.worker.states()["lamp"].acknowledged
    (first, acknowledged, second) = stage.worker.take_notifications()
    assert (first.key, first.outputs, first.by) == ("a", ("lamp",), "")
    assert (acknowledged.key, acknowledged.by, round(acknowledged.acknowledged_s or 0)) == ("a", "me", 5)
    assert (second.key, second.outputs) == ("b", ("lamp",))


def test_what_was_acknowledged_and_is_over_is_told_when_it_happens_again():
    stage = Stage(config(lost=lamp(when=["camera_lost"])))
    line = stage.lines["LOST"]
    for _ in range(2):
        stage.lost.add("door")
        stage.pass_s(1, EMPTY)
        assert line.level
        stage.worker.acknowledge("lost", "me")
        stage.pass_s(1, EMPTY)
        assert not line.level
        stage.lost.clear()
        stage.pass_s(1, EMPTY)


def test_what_was_never_told_is_not_acknowledged():
    stage = Stage(config(lamp=lamp(hold_seconds=3)))
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(1)
    stage.worker.acknowledge("lamp", "me")
    stage.pass_s(3)
    assert edges(stage, "LAMP") == "+3"


def test_an_unknown_output_is_told_with_those_that_there_are():
    stage = Stage(config(lamp=lamp()))
    assert stage.worker.acknowledge("lmap", "me") == "there is no output lmap; there are: lamp"
    assert stage.worker.test("lmap", 1) == "there is no output lmap; there are: lamp"


def test_a_test_tells_for_as_long_as_it_was_asked_to():
    stage = Stage(config(lamp=lamp(), voice={"kind": "sound", "when": ["mask_none"]}, door={"kind": "door"}))
    stage.pass_s(1, EMPTY)
    assert [stage.worker.test(name, 2) for name in ("lamp", "voice", "door")] == [None] * 3
    stage.pass_s(4, EMPTY)
    assert edges(stage, "LAMP") == edges(stage, "DOOR") == "+1.05 -3.05"
    assert told(stage.players["voice"].played) == "1.05 voice/mask_none 3.05 -"


def test_a_ramp_grows_into_a_steady_signal():
    stage = Stage(config(lamp=lamp(pattern="ramp", on_seconds=0.2, off_seconds=0.8, ramp_seconds=4)))
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(8)
    changes = stage.lines["LAMP"].changes
    lengths = [round(off[0] - on[0], 2) for on, off in zip(changes[::2], changes[1::2], strict=False)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 0.2
    assert changes[-1] == (4.0, True)


@pytest.mark.parametrize("keys", [{}, {"longest_seconds": 2.0}, {"pattern": "pulses", "longest_seconds": 2.0}])
def test_ten_alarms_at_once_are_one_signal_and_a_new_one_later_is_another(keys):
    stage = Stage(config(lamp=lamp(**keys), voice={"kind": "sound", "when": ["mask_none"]}))
    stage.see(outcome(*(event(f"e{n}", "start", 0) for n in range(10))))
    stage.pass_s(10)
    assert stage.lines["LAMP"].changes[0] == (0.0, True)
    assert stage.lines["LAMP"].level is not bool(keys)
    stage.see(outcome(event("late", "start", 10)))
    assert stage.lines["LAMP"].level
    assert told(stage.players["voice"].played) == "0 voice/mask_none 10 voice/mask_none"


def test_a_new_alarm_shortly_before_the_longest_time_is_over_lasts_as_long_again():
    stage = Stage(config(lamp=lamp(longest_seconds=10), voice={"kind": "sound", "when": ["mask_none"]}))
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(9.9)
    stage.see(outcome(event("b", "start", 9.9)))
    stage.pass_s(15)
    assert edges(stage, "LAMP") == "+0 -19.9"


@pytest.mark.parametrize("when", ["drowsiness_notice", "drowsiness_warning"])
def test_a_lamp_for_a_level_is_on_in_the_graver_ones_too(when):
    stage = Stage(config(lamp=lamp(when=[when])))
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    stage.see(outcome(start, drowsiness=[drowsy(1, 0, "alarm", 2.5)]))
    stage.see(outcome(event("d", "end", 0, kind="drowsiness", state="microsleep", why="left")))
    stage.pass_s(2, EMPTY)
    assert edges(stage, "LAMP") == "+0", "who sinks out of sight leaves the alarm, and nothing else, behind"


def test_a_lamp_that_was_silenced_at_the_warning_is_on_again_in_the_alarm():
    stage = Stage(config(lamp=lamp(when=["drowsiness_warning"])))
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    stage.see(outcome(start, drowsiness=[drowsy(1, 0, "warning", 1.2)]))
    stage.worker.acknowledge("lamp", "driver")
    stage.pass_s(1, outcome(drowsiness=[drowsy(1, 0, "warning", 1.3)]))
    assert not stage.lines["LAMP"].level
    stage.pass_s(1, outcome(drowsiness=[drowsy(1, 1, "alarm", 2.5)]))
    assert stage.lines["LAMP"].level


def test_a_lamp_listens_to_its_cameras_and_a_lost_one_is_told():
    stage = Stage(
        config(("door", "gate"), red=lamp(cameras=["gate"]), lost=lamp(when=["camera_lost"]), well=lamp(when=["alive"]))
    )
    stage.pass_s(0.1, EMPTY, "door")
    stage.pass_s(0.1, EMPTY, "gate")
    stage.see(outcome(event("a", "start", 0)))
    assert (stage.lines["RED"].level, stage.lines["LOST"].level, stage.lines["WELL"].level) == (False, False, True)
    stage.see(outcome(event("a", "start", 0)), "gate")
    stage.lost.add("gate")
    stage.pass_s(1, EMPTY)
    assert (stage.lines["RED"].level, stage.lines["LOST"].level, stage.lines["WELL"].level) == (True, True, False)


def test_analysis_that_stands_still_is_not_alive():
    stage = Stage(config(well=lamp(when=["alive"])))
    stage.see(EMPTY)
    assert stage.lines["WELL"].level
    stage.pass_s(5.1)
    assert not stage.lines["WELL"].level


def test_what_ends_without_a_picture_is_no_sign_of_life():
    stage = Stage(config(well=lamp(when=["alive"]), door=door("active")))
    stage.pass_s(4, standing(CORRECT))
    stage.pass_s(6)
    before = edges(stage, "WELL"), edges(stage, "DOOR")
    assert (stage.lines["WELL"].level, stage.lines["DOOR"].level) == (False, True)
    stage.worker.observe(Frame("door", -1, stage.clock.monotonic_s(), NOTHING), EMPTY)
    stage.pass_s(4)
    assert (edges(stage, "WELL"), edges(stage, "DOOR")) == before


@pytest.mark.parametrize(
    ("minute", "span", "quiet"),
    [(12 * 60, ("11:30", "12:30"), True), (11 * 60, ("11:30", "12:30"), False), (23 * 60, ("22:00", "07:00"), True),
     (60, ("22:00", "07:00"), True), (7 * 60, ("22:00", "07:00"), False), (60, (None, None), False)],
)  # fmt: skip
def test_quiet_hours_may_span_midnight(minute, span, quiet):
    assert is_quiet(minute, *span) is quiet


def test_a_clock_that_cannot_be_believed_silences_nobody():
    stage = Stage(config(lamp=lamp(quiet_from="11:00", quiet_until="15:00")))
    stage.clock.is_trusted = False
    stage.see(outcome(event("a", "start", 0)))
    assert stage.lines["LAMP"].level
    stage.clock.is_trusted = True
    stage.pass_s(0.5)
    assert not stage.lines["LAMP"].level


# --- the door


def door(safe="inactive", **keys):
    return {"kind": "door", "safe": safe, "hold_seconds": 1, "shortest_seconds": 3, **keys}


def standing(*states):
    return outcome(masks=[vote(n, 0, state) for n, state in enumerate(states)])


def test_a_door_opens_for_everybody_or_nobody_and_stays_open_for_who_passes():
    stage = Stage(config(door=door()))
    stage.pass_s(3, standing(CORRECT, NONE))
    assert edges(stage, "DOOR") == ""
    stage.pass_s(2, standing(CORRECT))
    assert edges(stage, "DOOR") == "+4.1"
    stage.pass_s(5, EMPTY)
    assert edges(stage, "DOOR") == "+4.1 -7.1"
    stage.pass_s(2, standing(CORRECT))
    stage.pass_s(1, standing(CORRECT, NONE))
    assert edges(stage, "DOOR") == "+4.1 -7.1 +11.1 -12.1"


@pytest.mark.parametrize("safe", ["inactive", "active"])
def test_a_door_goes_to_its_safe_side_when_a_camera_is_lost_or_nothing_is_analysed(safe):
    stage, is_safe = Stage(config(door=door(safe))), safe == "active"
    line = stage.lines["DOOR"]
    assert line.level is is_safe
    for people, open_ in ((NONE, False), (CORRECT, True)):
        stage.pass_s(4, standing(people))
        assert line.level is open_
        stage.lost.add("door")
        stage.pass_s(0.1, standing(people))
        assert line.level is is_safe
        stage.lost.clear()
        stage.pass_s(4, standing(people))
        assert line.level is open_
        stage.pass_s(1.6)
        assert line.level is is_safe
    stage.pass_s(4, standing(NONE if is_safe else CORRECT))
    assert line.level is not is_safe
    stage.worker._units[0].close()
    assert line.level is is_safe


def test_people_at_another_door_that_must_see_it_too_keep_it_shut():
    stage = Stage(config(("door", "gate"), door=door()))
    for _ in range(40):
        stage.pass_s(0.1, standing(CORRECT), "door")
        stage.pass_s(0.1, standing(NONE), "gate")
    assert edges(stage, "DOOR") == ""
    for _ in range(20):
        stage.pass_s(0.1, standing(CORRECT), "door")
        stage.pass_s(0.1, EMPTY, "gate")
    assert stage.lines["DOOR"].level


# --- what is heard


def sounding(**keys):
    return Stage(config(voice={"kind": "sound", "when": ["drowsiness_notice"], **keys}))


def test_drowsiness_is_told_louder_step_by_step_and_the_siren_ends_when_all_is_well():
    stage = sounding()
    start = event("d", "start", 0, kind="drowsiness", state="perclos")
    stage.see(outcome(start, drowsiness=[drowsy(1, 0, "notice")]))
    stage.pass_s(3, outcome(drowsiness=[drowsy(1, 0, "notice")]))
    stage.pass_s(3, outcome(drowsiness=[drowsy(1, 3, "warning", 1.5)]))
    stage.pass_s(3, outcome(drowsiness=[drowsy(1, 6, "alarm", 2.5)]))
    assert told(stage.players["voice"].played) == "0 chime 3.1 voice/drowsiness 6.1 alarm"
    stage.pass_s(3, outcome(drowsiness=[drowsy(1, 9, "warning", 0.0)]))
    assert told(stage.players["voice"].played) == "0 chime 3.1 voice/drowsiness 6.1 alarm 9.1 -"
    stage.see(outcome(event("d", "end", 12, kind="drowsiness", state="perclos", why="recovered")))
    stage.pass_s(3, EMPTY)
    assert told(stage.players["voice"].played) == "0 chime 3.1 voice/drowsiness 6.1 alarm 9.1 -"


def test_who_acknowledged_a_siren_and_falls_asleep_again_hears_it_again():
    stage = sounding()
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    stage.see(outcome(start, drowsiness=[drowsy(1, 0, "alarm", 2.5)]))
    stage.pass_s(1, outcome(drowsiness=[drowsy(1, 0, "alarm", 3)]))
    stage.worker.acknowledge("voice", "driver")
    stage.pass_s(2, outcome(drowsiness=[drowsy(1, 1, "alarm", 4)]))
    assert told(stage.players["voice"].played) == "0 alarm 1.05 !"
    stage.pass_s(2, outcome(drowsiness=[drowsy(1, 3, "alarm", 0)]))
    stage.pass_s(2, outcome(drowsiness=[drowsy(1, 5, "alarm", 1.2)]))
    assert told(stage.players["voice"].played) == "0 alarm 1.05 ! 5.1 alarm"


def test_a_sentence_is_heard_to_its_end_and_a_siren_is_cut_when_acknowledged():
    stage = Stage(config(voice={"kind": "sound", "when": ["mask_none"]}))
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(0.6)
    stage.see(outcome(event("a", "end", 0.6, why="left")))
    assert told(stage.players["voice"].played) == "0 voice/mask_none 0.6 -"


def test_people_who_follow_one_another_hear_one_sentence_to_its_end():
    stage = Stage(config(voice={"kind": "sound", "when": ["mask_none"], "shortest_seconds": 0.5}))
    for number, (comes, goes) in enumerate(((0, 1), (1.6, 2.2), (2.8, 9))):
        stage.pass_s(comes - stage.clock.monotonic_s())
        stage.see(outcome(event(f"e{number}", "start", comes)))
        stage.pass_s(goes - comes)
        stage.see(outcome(event(f"e{number}", "end", goes, why="left")))
    serials = {playback.serial for playback in stage.players["voice"].asked if playback}
    assert len(serials) == 1, "none was begun anew"
    stage.pass_s(1)
    stage.see(outcome(event("later", "start", 10)))
    assert told(stage.players["voice"].played).endswith("10 voice/mask_none")


# --- hardware that fails


def test_a_line_that_is_not_there_is_told_once_tried_again_and_holds_up_nobody(caplog):
    stage = Stage(config(lamp=lamp(), other=lamp()))
    stage.lines["LAMP"].broken = True
    stage.missing = True
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(30)
    assert stage.worker.problems() == ["output lamp: the GPIO chip is not there"]
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 2  # gone, then not there
    assert stage.lines["OTHER"].level
    assert [one.outputs for one in stage.worker.take_notifications()] == [("other",)]
    stage.missing = False
    stage.pass_s(61)
    assert stage.worker.problems() == []
    assert stage.lines["LAMP"].level


# --- the examples


def example(name: str) -> Config:
    return load_config(Path(__file__).parent.parent / "config" / name)


def test_what_notifies_late_is_in_the_events_record_and_what_never_did_is_not():
    """A chip that is plugged in, a card that plays at last, quiet hours that end."""
    voice = {"kind": "sound", "when": ["mask_none"]}
    quiet = lamp(quiet_from="12:00", quiet_until="12:01")
    stage = Stage(config(lamp=lamp(), voice=voice, mute=voice, late=quiet))
    stage.lines["LAMP"].broken = stage.missing = True
    stage.players["voice"].is_there = stage.players["mute"].is_there = False
    stage.see(outcome(event("a", "start", 0)))
    stage.pass_s(5, EMPTY)
    assert stage.worker.take_notifications() == []
    stage.players["voice"].is_there = True
    stage.pass_s(1, EMPTY)
    stage.missing = False
    stage.pass_s(60, EMPTY)
    assert [one.outputs for one in stage.worker.take_notifications()] == [
        ("voice",), ("voice", "lamp"), ("voice", "lamp", "late"),
    ]  # fmt: skip


def test_the_cabs_buzzer_pulses_at_a_warning_grows_and_is_silenced_by_the_button():
    stage = Stage(example("driver.toml"))
    buzzer = stage.lines["PQ.05"]
    start = event("d", "start", 0, kind="drowsiness", state="microsleep")
    stage.see(outcome(start, drowsiness=[drowsy(1, 0, "notice")]), "cab")
    assert buzzer.changes == []
    stage.pass_s(6, outcome(drowsiness=[drowsy(1, 1, "alarm", 2.5)]), "cab")
    assert buzzer.level
    assert len(buzzer.changes) > 8
    stage.worker._press(next(unit for unit in stage.worker._units if unit.name == "button"))
    stage.pass_s(2, outcome(drowsiness=[drowsy(1, 1, "alarm", 4)]), "cab")
    assert not buzzer.level


@pytest.mark.parametrize(("name", "camera", "red", "green"), [
    ("entrance-pi.toml", "door", "GPIO17", "GPIO27"), ("entrance-jetson.toml", "main-door", "PQ.05", "PQ.06"),
])  # fmt: skip
def test_the_entrances_lamp_is_red_green_or_dark(name, camera, red, green):
    stage = Stage(example(name))
    lights = lambda: (stage.lines[red].level, stage.lines[green].level)  # noqa: E731
    stage.pass_s(1, EMPTY, camera)
    assert lights() == (False, False)
    stage.see(outcome(event("a", "start", 1), masks=[vote(1, 0, NONE)]), camera)
    assert lights() == (True, False)
    stage.see(outcome(event("a", "end", 2, why="corrected"), masks=[vote(1, 0, CORRECT)]), camera)
    stage.pass_s(3, standing(CORRECT), camera)
    assert lights() == (False, True)
