"""Counting of passages and alerts against hand-made truth; and the whole way over the recordings, where they lie here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.daemon import needs_models, write_clip
from support.doubles import square

from convert.__main__ import main
from convert.passages.play import Played, play
from convert.passages.report import play_all, totals
from convert.passages.score import Score, score
from convert.passages.truth import Alert, Area, Person, Place, Truth, load_truth, place_at
from edged.assembly import EVERYTHING, load_models
from edged.config import Config
from edged.errors import ConfigError
from edged.types import Box, Encounter, Event, MaskState, Votes

CLIPS = Path(__file__).parent / "clips"
ANNA = Person("Anna", (Place(0, 100, 100, 40), Place(4, 300, 100, 40)), frozenset({MaskState.NONE}))
TRUTH = Truth(Path("a.mp4"), "entrance", (ANNA,), (), (Alert("mask", frozenset({"none"}), (1, 3)),))


def passage(track: int, first: float, last: float, state: MaskState = MaskState.NONE) -> Encounter:
    return Encounter(f"e{track}", "clip", track, first, last, state, 0.9, Votes(), 40, 40, closed=True)


def seen(x: float, first: float, last: float, speed: float = 50) -> list[tuple[float, Box]]:
    times = [first + k / 10 for k in range(round((last - first) * 10))]
    return [(t, square(x + speed * t, 100, 40)) for t in times]


def played(
    passages: Sequence[Encounter], sightings: list[list[tuple[float, Box]]], alerts: Sequence[Event] = ()
) -> Played:
    return Played(tuple(passages), tuple(alerts), {p.track: s for p, s in zip(passages, sightings, strict=True)})


def alert(time_s: float, state: str = "none") -> Event:
    return Event("k", "mask", "start", "clip", 1, time_s, state, violation=True)


def test_a_passage_at_somebodys_place_is_theirs():
    scored = score(TRUTH, played([passage(1, 0, 4)], [seen(100, 0, 4)], [alert(2)]))
    assert scored.score == Score(people=1, passages=1, alerts=1)
    assert scored.remarks == ()


def test_a_second_one_is_doubled_one_elsewhere_is_false_and_none_is_missed():
    twice = played([passage(1, 0, 2), passage(2, 2, 4)], [seen(100, 0, 2), seen(100, 2, 4)], [alert(2)])
    assert score(TRUTH, twice).score == Score(people=1, passages=2, doubled=1, alerts=1)
    elsewhere = played([passage(1, 0, 4)], [seen(600, 0, 4)], [alert(2)])
    assert score(TRUTH, elsewhere).score == Score(people=1, false=1, missed=1, alerts=1)


def test_a_wrong_state_is_counted_and_an_uncertain_one_is_not():
    wrong = played([passage(1, 0, 4, MaskState.CORRECT)], [seen(100, 0, 4)], [alert(2)])
    assert score(TRUTH, wrong).score.wrong_state == 1
    unsure = played([passage(1, 0, 4, MaskState.UNCERTAIN)], [seen(100, 0, 4)], [alert(2)])
    assert score(TRUTH, unsure).score.wrong_state == 0


@pytest.mark.parametrize(
    ("alerts", "good", "false", "missed"),
    [([], 0, 0, 1), ([alert(2), alert(2.5)], 1, 1, 0), ([alert(3.5)], 0, 1, 1), ([alert(2, "incorrect")], 0, 1, 1)],
)
def test_each_right_alert_answers_for_one(alerts, good, false, missed):
    counted = score(TRUTH, played([passage(1, 0, 4)], [seen(100, 0, 4)], alerts)).score
    assert (counted.alerts, counted.false_alerts, counted.missed_alerts) == (good, false, missed)


def test_faces_nobody_counted_are_neither_right_nor_wrong():
    truth = replace(TRUTH, uncounted=(Area((0, 4), Box(500, 0, 1000, 200)),))
    assert score(truth, played([passage(1, 0, 4)], [seen(600, 0, 4)], [alert(2)])).score == Score(
        people=1, missed=1, alerts=1
    )


def test_between_two_places_a_face_moves_straight_and_before_and_after_it_is_nowhere():
    assert place_at(ANNA.path, 2) == Place(2, 200, 100, 40)
    assert place_at(ANNA.path, -1) is place_at(ANNA.path, 5) is None


def test_a_truth_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "a.toml").write_text("clip = 3")
    with pytest.raises(ConfigError, match=r"a\.toml"):
        load_truth(tmp_path / "a.toml")
    with pytest.raises(ConfigError, match="no truth of nobody"):
        list(play_all(CLIPS, tmp_path, ["nobody"]))


@pytest.mark.parametrize("path", sorted(CLIPS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_truth_can_be_read(path):
    truth = load_truth(path)
    assert truth.clip.stem == path.stem
    assert truth.people


SHORT = (
    "d4_night_passengers",
    "d6_yawning_webcam",
    "e3_mask_advert",
    "e5_mask_chin",
    "driver_3",
    "eye_closure",
)


@needs_models
@pytest.mark.parametrize("name", SHORT)
def test_the_whole_way_tells_who_passed_and_nothing_wrong(name, shared):
    """Passages, yawns and alerts only: states are the classifier's."""
    if not (shared / load_truth(CLIPS / f"{name}.toml").clip).is_file():
        pytest.skip(f"no recording of {name} in {shared}")
    (row,) = play_all(CLIPS, shared, [name])
    told = row.score
    assert (told.false, told.missed, told.doubled) == (0, 0, 0), row.remarks
    assert (told.false_alerts, told.missed_alerts, told.yawns_wrong) == (0, 0, 0), row.remarks


@needs_models
def test_a_recording_is_played_at_each_rate_that_is_asked_for(tmp_path):
    """The clip is edged's own film of ten pictures a second."""
    film = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "film.toml").write_text(f'clip = "{film.name}"\nprofile = "entrance"\n')
    config, frames = Config(), []
    models = load_models(config.models, EVERYTHING)
    for fps in (None, 8.0, 5.0):
        times: list[float] = []
        play(film, "entrance", config, models, lambda frame, _, to=times: to.append(frame.time_s), fps)
        frames.append(len(times))
    assert frames[0] > frames[1] > frames[2] > 0
    rows = list(play_all(tmp_path, tmp_path, rates=[5.0, 8.0]))
    assert [row.name for row in rows] == ["film 5/s", "film 8/s"]
    assert [row.name for row in totals(rows)] == ["all 5/s", "all 8/s", "all"]


@needs_models
def test_the_command_plays_at_each_rate_once_and_refuses_what_is_none(tmp_path):
    film = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "film.toml").write_text(f'clip = "{film.name}"\nprofile = "entrance"\n')
    asked = ["passages", "--clips", str(tmp_path), "--shared", str(tmp_path)]
    told = CliRunner().invoke(main, [*asked, "--fps", "5", "--fps", "8", "--fps", "5"], catch_exceptions=False).output
    assert [line.split("  ")[0] for line in told.splitlines() if line[0] in "fa"] == [
        "film 5/s",
        "film 8/s",
        "all 5/s",
        "all 8/s",
        "all",
    ]
    for nonsense in ("nan", "0", "1000"):
        refused = CliRunner().invoke(main, [*asked, "--fps", nonsense])
        assert refused.exit_code == 2
        assert "--fps" in refused.output


@needs_models
@pytest.mark.parametrize("fps", [8.0, 10.0, 12.0, 17.0])
def test_a_yawn_behind_a_hand_is_one_at_every_rate(fps, shared):
    """The hand leaves slowly, and until it has gone the lips look shut."""
    if not (shared / load_truth(CLIPS / "d6_yawning_webcam.toml").clip).is_file():
        pytest.skip(f"no recording of d6_yawning_webcam in {shared}")
    (row,) = play_all(CLIPS, shared, ["d6_yawning_webcam"], [fps])
    assert row.score.yawns_wrong == 0, row.remarks
