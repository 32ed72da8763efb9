"""The pages for a camera, the setup and the sign: asked as a browser without scripts does, with a real daemon behind."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_days import encounter
from support.console import PASSWORD, Browser, Console
from support.daemon import Daemon, looped, needs_models, write_clip
from support.live_socket import LiveSocket, face
from support.mosquitto import Mosquitto, free_port, needs_mosquitto, until

from edged.config import MaskConfig, load_config
from edged.config.change import _CAMERA_KEYS, _KEYS, KEPT_IN
from edged.console.labels import LABELS
from edged.console.whatif import judged_of, what_if
from edged.report.walk import walk_steps
from edged.store import Store

PATIENCE_S = 120.0


# --- what other thresholds would have told


def passage(state: str, score: float, largest: float, **votes: int) -> dict[str, Any]:
    return {"state": state, "score": score, "largest_face": largest, "votes": votes}


PASSED = [
    passage("correct", 0.95, 90, correct=9),
    passage("correct", 0.80, 30, correct=9),
    passage("none", 0.85, 60, none=4),
    passage("uncertain", 0.70, 50, none=3, correct=1),
    passage("uncertain", 0.0, 20),
]


@pytest.mark.parametrize(
    ("settings", "after"),
    [
        ({}, {"correct": 2, "incorrect": 0, "none": 1, "uncertain": 2}),
        ({"enter_score": 0.9}, {"correct": 1, "incorrect": 0, "none": 0, "uncertain": 4}),
        ({"enter_score": 0.65}, {"correct": 2, "incorrect": 0, "none": 2, "uncertain": 1}),
        ({"enter_score": 0.85}, {"correct": 1, "incorrect": 0, "none": 1, "uncertain": 3}),
        ({"smallest_face": 60}, {"correct": 1, "incorrect": 0, "none": 1, "uncertain": 3}),
        ({"smallest_face": 61}, {"correct": 1, "incorrect": 0, "none": 0, "uncertain": 4}),
        ({"smallest_face": 40}, {"correct": 1, "incorrect": 0, "none": 1, "uncertain": 3}),
        ({"enter_score": 0.6, "smallest_face": 8}, {"correct": 2, "incorrect": 0, "none": 2, "uncertain": 1}),
    ],
)
def test_other_thresholds_are_tried_on_what_is_stored(settings: dict[str, float], after: dict[str, int]) -> None:
    outlook = what_if(PASSED, MaskConfig(), MaskConfig(**settings))
    assert outlook.before == {"correct": 2, "incorrect": 0, "none": 1, "uncertain": 2}
    assert outlook.after == after
    assert outlook.uncertain_percent() == (40, 20 * after["uncertain"])


def test_who_was_seen_too_briefly_stays_uncertain_under_any_threshold() -> None:
    brief = [passage("uncertain", 0.98, 90, none=9)]
    for enter_score in (0.6, 0.9):
        assert what_if(brief, MaskConfig(), MaskConfig(enter_score=enter_score)).after["uncertain"] == 1
    assert judged_of(brief, MaskConfig()).reasons == (("turned away or too quickly gone", 1),)
    step = walk_steps([brief[0] | {"closed": 1, "encounter_id": "a"}], MaskConfig())[0]
    assert step.why.startswith("seen too briefly or turned away: 9 votes, and a verdict must stand for")


def test_the_last_people_are_counted_with_the_reason_why_some_were_not_judged() -> None:
    judged = judged_of(PASSED, MaskConfig())
    told = (("too small", 1), ("whose votes did not agree", 1))
    assert (judged.people, judged.judged, judged.reasons) == (5, 3, told)
    assert judged_of([passage("uncertain", 0.6, 90, none=1)], MaskConfig()).reasons[0][0].startswith("turned away")


def test_each_setting_that_the_console_makes_has_one_label() -> None:
    keys = {f"camera.{key}" for key in _CAMERA_KEYS} | {
        f"{section}.{key}" for section in ("device", "report", "mqtt") for key in _KEYS[section]
    }
    assert keys <= LABELS.keys()
    assert LABELS.keys() - keys == {
        KEPT_IN,
        *(f"mask.{name}" for name in ("enter_score", "leave_score", "smallest_face")),
    }


# --- with a daemon behind


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def site(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Browser]]:
    folder = tmp_path_factory.mktemp("site")
    daemon = Daemon(folder, {"door": looped(clip)})
    with Console(folder, config=daemon.config) as console, daemon:
        daemon.start()
        assert daemon.serves(PATIENCE_S), daemon.log
        yield daemon, console.start().claimed()


@needs_models
def test_a_threshold_is_shown_saved_and_taken_back_with_plain_forms(site: tuple[Daemon, Browser]) -> None:
    daemon, browser = site
    door = browser.get("/camera/door").text
    assert 'name="enter_score" value="0.5"' in door
    preview = browser.get("/camera/door/change?enter_score=0.6&leave_score=0.4&smallest_face=20")
    assert preview.status == 200
    assert "<li>Score for a verdict: 0.5 → 0.6 <code" in preview.text
    assert "Score to keep it" not in preview.text, "what stays is not told"
    read = re.search(r'name="read" value="(\w+)"', preview.text)
    assert read is not None
    fields = {"enter_score": "0.6", "read": read[1]}
    saved = browser.post("/camera/door/change", fields)
    assert (saved.status, saved.location) == (303, "/camera/door?saved=1")
    assert load_config(daemon.config).camera["door"].mask.enter_score == 0.6
    again = browser.post("/camera/door/change", {**fields, "enter_score": "0.7"})
    assert again.status == 400
    assert "changed by somebody else meanwhile" in again.text
    door = browser.get(saved.location).text
    assert "Saved, and in force." in door
    assert "Score for a verdict: 0.6 → 0.5" in door, "what an undo would do"
    read = re.search(r'action="/camera/door/undo".*?name="read" value="(\w+)"', door)
    assert read is not None
    assert browser.post("/camera/door/undo", {"read": read[1]}).location == "/camera/door?undone=1"
    assert load_config(daemon.config).camera["door"].mask.enter_score == 0.5
    assert "/camera/door/undo" not in browser.get("/camera/door").text


@needs_models
def test_what_is_wrong_is_one_line_and_changes_nothing(site: tuple[Daemon, Browser]) -> None:
    daemon, browser = site
    for query, said in (
        ("enter_score=lots", "Score for a verdict: lots is not a number"),
        ("enter_score=nan", "is not a number"),
        (
            "enter_score=7",
            "Score for a verdict: must be 1 at most (camera.door.mask.enter_score); nothing was changed.",
        ),
        ("leave_score=0.9", "Score to keep it (0.9) must not be above Score for a verdict (0.5); lower it"),
        ("left=90&right=10", "Part of the picture to watch: left, top, right, bottom must leave at least a twentieth"),
    ):
        answer = browser.get(f"/camera/door/change?{query}")
        assert answer.status == 400, query
        assert said in answer.text
        assert ".toml" not in answer.text, "no files: a person knows fields"
    assert browser.get("/camera/door/change?enter_score=0.5").location == "/camera/door", "nothing would change"
    assert browser.get("/camera/nowhere").status == 404
    assert browser.get("/live/nowhere/frame.jpg").status == 404
    assert browser.get("/live/door/frame.jpg?after=x").status == 400
    assert load_config(daemon.config).camera["door"].region == (0, 0, 1, 1)


@needs_models
def test_the_region_is_set_by_numbers(site: tuple[Daemon, Browser]) -> None:
    daemon, browser = site
    shown = browser.get("/camera/door/change?left=10&top=0&right=95,5&bottom=100")
    assert (
        "watch: left 0 %, top 0 %, right 100 %, bottom 100 % → left 10 %, top 0 %, right 95.5 %, bottom 100 %"
        in shown.text
    )
    assert (
        browser.post("/camera/door/change", {"left": "10", "top": "0", "right": "95.5", "bottom": "100"}).status == 303
    )
    assert load_config(daemon.config).camera["door"].region == (0.1, 0.0, 0.955, 1.0)
    browser.get("/camera/door")
    assert browser.post("/camera/door/undo").status == 303


@needs_models
def test_the_live_picture_comes_with_what_was_seen_in_it(site: tuple[Daemon, Browser]) -> None:
    _, browser = site
    seen: list[dict[str, Any]] = []

    def look() -> bool:
        answer = browser.get("/live/door/frame.jpg")
        if answer.status != 200:
            return False
        assert answer.body[:2] == b"\xff\xd8"
        assert int(answer.headers["x-frame-id"]) > 0
        assert 0 <= int(answer.headers["x-frame-age-ms"]) < 60_000
        seen.extend(json.loads(answer.headers["x-dets"]))
        return any(one["state"] for one in seen)

    assert until(look, PATIENCE_S)
    people = browser.get("/live/door/people").json
    assert people["camera_state"] == "online"
    assert all(set(one) == {"state"} for one in people["faces"]), "a sign at the door is told no more than it says"


@needs_models
def test_a_walk_test_is_followed_and_kept(site: tuple[Daemon, Browser]) -> None:
    _, browser = site
    begin = re.search(r'name="since" value="(\d+)"', browser.get("/setup/walk/door").text)
    assert begin is not None
    page = f"/setup/walk/door?since={begin[1]}"
    assert "walk past <b>with a mask</b>" in browser.get(page).text
    # A bare face walks past again and again: the first five are not what was expected.
    assert until(lambda: "5 of 10 as expected" in browser.get(page).text, PATIENCE_S * 2), browser.get(page).text
    assert browser.get(page).text.count("✗ No mask") == 5
    assert browser.post("/setup/walk/door", {"since": begin[1], "skip": ""}).location == "/setup"
    assert "door: 5 of 10 as expected" in browser.get("/setup").text
    assert browser.post("/setup/walk/door", {"since": "5", "skip": ""}).status == 400


@needs_models
@needs_mosquitto
def test_a_broker_is_tried_for_real_before_it_is_saved(site: tuple[Daemon, Browser], tmp_path: Path) -> None:
    daemon, browser = site
    browser.get("/setup/broker")
    nobody = browser.post("/setup/broker", {"host": "127.0.0.1", "port": str(free_port()), "action": "save"})
    assert nobody.status == 400
    assert "nothing listens" in nobody.text, nobody.text
    assert load_config(daemon.config).mqtt.host is None
    with Mosquitto(tmp_path / "broker") as broker:
        fields = {"host": "127.0.0.1", "port": str(broker.port), "username": "", "password": ""}
        tried = browser.post("/setup/broker", {**fields, "action": "test"})
        assert "127.0.0.1 accepts the connection" in tried.text
        assert load_config(daemon.config).mqtt.host is None
        assert browser.post("/setup/broker", {**fields, "action": "save"}).location == "/setup"
        assert until(lambda: daemon.status()["broker"]["connected"], PATIENCE_S), daemon.log
        browser.get("/setup/broker")
        named = {**fields, "username": "door", "password": "s3cret", "action": "save"}
        assert browser.post("/setup/broker", named).location == "/setup"
        kept = load_config(daemon.config).mqtt.password_file
        assert kept is not None
        assert kept.read_text() == "s3cret\n"
        assert "s3cret" not in browser.get("/setup/broker").text
        assert until(lambda: daemon.status()["broker"]["connected"], PATIENCE_S), daemon.log
    browser.get("/setup/broker")
    assert browser.post("/setup/broker", {"host": "", "action": "save"}).location == "/setup"
    assert daemon.status()["broker"]["configured"] is False
    assert load_config(daemon.config).mqtt.password_file is None


# --- without one


def test_without_a_daemon_the_pages_answer_and_say_why(tmp_path: Path) -> None:
    with Console(tmp_path) as console, Store(console.database) as store:
        store.write([encounter(number, 1_763_000_000_000 + number, "correct") for number in range(3)])
        browser = console.start().claimed()
        door = browser.get("/camera/door")
        assert door.status == 200
        assert "no daemon answers" in door.text
        assert "Of the last 3 people 3 could be judged" in door.text
        assert browser.get("/setup").status == 200
        assert browser.get("/live/door/frame.jpg").status == 503
        assert "This sign cannot see" in browser.get("/kiosk/door").text
        changed = browser.post("/camera/door/change", {"enter_score": "0.9"})
        assert changed.status == 503
        assert "no daemon answers" in changed.text


def test_a_form_that_no_daemon_can_carry_out_keeps_what_was_typed(tmp_path: Path) -> None:
    with Console(tmp_path) as console, Store(console.database):
        browser = console.start().claimed()
        for path, typed in (
            (
                "/setup/place",
                {"site": "Town hall", "timezone": "Europe/Madrid", "open_from": "08:01", "open_until": "20:02"},
            ),
            ("/setup/camera", {"name": "Back door", "address": "rtsp://10.0.0.7/1", "profile": "classroom"}),
            ("/pause", {"for": "60"}),
            ("/camera/door/change", {"enter_score": "0.85", "read": "the hash that was seen"}),
        ):
            browser.get("/setup/place")
            answer = browser.post(path, typed)
            assert (answer.status, "edged" in answer.text) == (503, True), path
            assert all(f'value="{value}"' in answer.text for value in typed.values()), path
        assert "Send it again" in answer.text
        secret = browser.post("/pause", {"for": "60", "password": "hush"})
        assert (secret.status, "hush" in secret.text) == (503, False)
        assert "Send it again" not in secret.text, "without the password it would be another form"


def test_a_sign_without_scripts_says_who_stands_there_in_each_language(tmp_path: Path) -> None:
    with Console(tmp_path) as console, LiveSocket(console.database) as live:
        browser = console.start().claimed()
        live.show([face("correct"), face("none")])
        for language, word in {
            "en": "put on a mask",
            "de": "Maske aufsetzen",
            "es": "mascarilla",
            "fr": "un masque",
        }.items():
            sign = browser.get(f"/kiosk/door?lang={language}").text
            assert f'<html lang="{language}">' in sign
            assert word in sign.partition("<nav")[0]
            assert '<noscript><meta http-equiv="refresh"' in sign
        assert not any(asked["picture"] for asked in live.asked), "no picture is made for a sign"
        live.freeze()
        live.answer |= {"camera_state": "stalled", "reason": "no picture"}
        assert "cannot see" in browser.get("/kiosk/door").text


def test_a_sign_without_scripts_says_nothing_of_a_look_that_is_none_or_too_old(tmp_path: Path) -> None:
    with Console(tmp_path) as console, LiveSocket(console.database) as live:
        browser = console.start().claimed()
        assert "cannot see" in browser.get("/kiosk/door").text.partition("<nav")[0], "there was no picture yet"
        live.show([face("correct")])
        assert "Thank you" in browser.get("/kiosk/door").text.partition("<nav")[0]
        live.freeze()
        live.made_s -= 3.0
        assert "cannot see" in browser.get("/kiosk/door").text.partition("<nav")[0], "whoever was there has gone"


@pytest.mark.parametrize(
    ("fps", "age_s", "is_new"), [(0.5, 3.0, True), (0.5, 5.5, False), (15, 3.0, False), (15, 1.5, True)]
)
def test_what_is_old_follows_the_cameras_rate_on_every_page(
    tmp_path: Path, fps: float, age_s: float, is_new: bool
) -> None:
    cameras = {"camera": {"door": {"source": "file:///a", "fps": fps}}}
    with Console(tmp_path, cameras) as console, LiveSocket(console.database) as live:
        browser = console.start().claimed()
        live.show([face("correct")])
        live.freeze()
        live.made_s -= age_s
        sign = browser.get("/kiosk/door").text
        assert ("Thank you" in sign.partition("<nav")[0]) == is_new
        told = [
            re.findall(r'data-old-ms="(\d+)"', browser.get(path).text) for path in ("/kiosk/door", "/camera/door", "/")
        ]
        assert told == [["5000" if fps < 1 else "2000"]] * 3


def test_a_clear_view_outlasts_a_camera_that_is_busy_and_ends_when_it_is_refused(tmp_path: Path) -> None:
    with Console(tmp_path) as console, LiveSocket(console.database) as live:
        browser = console.start().claimed()
        live.show([face("correct")])
        assert browser.post("/camera/door/clear", {"reason": "to aim it"}).status == 303
        live.refusal = "busy: 2 look at door already; ask again when one has left"
        busy = browser.get("/live/door/frame.jpg?clear=1")
        assert (busy.status, busy.json["error"]) == (503, live.refusal)
        live.refusal = ""
        assert browser.get("/live/door/frame.jpg?clear=1").status == 200
        live.answer |= {"ok": False, "error": "the clear view has ended"}
        assert browser.get("/live/door/frame.jpg?clear=1").status == 410
        assert browser.get("/live/door/frame.jpg?clear=1").status == 403, "a reason is to be given anew"


def test_setup_writes_place_and_camera_through_a_daemon_that_waits_for_one(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {}, options=["--wait-for-camera"])
    with Console(tmp_path, config=daemon.config) as console, daemon:
        daemon.start()
        assert until(lambda: daemon.status() or not daemon.is_running, PATIENCE_S), daemon.log
        browser = console.start().browser()
        claim = {"code": console.state["code"], "password": PASSWORD, "again": PASSWORD}
        assert browser.post("/claim", claim).location == "/setup", "who claims a new device is shown what to do"
        setup = browser.get("/setup").text
        assert "No camera yet" in setup
        assert setup.count("to do") == 3, "place, camera and walk test; a broker may be left out"
        place = {"site": "Town hall", "timezone": "Europe/Madrid", "open_from": "08:00", "open_until": "20:00"}
        browser.get("/setup/place")
        wrong = browser.post("/setup/place", {**place, "timezone": "Madrid"})
        assert wrong.status == 400
        assert "Time zone: not an IANA time zone" in wrong.text
        assert ".toml" not in wrong.text
        assert 'value="Town hall"' in wrong.text, "what was typed is not lost"
        assert browser.post("/setup/place", place).location == "/setup"
        assert load_config(daemon.config).report.timezone == "Europe/Madrid"
        assert "Plug one in" in browser.get("/setup/camera").text or "v4l2" in browser.get("/setup/camera").text
        added = {"name": "Main door", "address": "rtsp://127.0.0.1:9/none", "profile": "entrance"}
        pipeline = browser.post("/setup/camera", {**added, "address": "gst:videotestsrc"})
        assert pipeline.status == 400
        assert "can start any program" in pipeline.text
        assert browser.post("/setup/camera", {**added, "address": "file:///etc/passwd"}).status == 400
        assert browser.post("/setup/camera", added).location == "/camera/main-door?saved=1"
        assert browser.post("/setup/camera", added).location == "/camera/main-door-2?saved=1"
        assert set(load_config(daemon.config).camera) == {"main-door", "main-door-2"}
        assert until(lambda: set(daemon.status()["cameras"]) == {"main-door", "main-door-2"}, PATIENCE_S)
        assert "Main door" in browser.get("/camera").text
        assert until(lambda: "Cannot be opened: " in browser.get("/setup").text, PATIENCE_S), "why it gives no picture"
        browser.get("/camera/main-door-2")
        assert browser.post("/camera/main-door-2/undo").location == "/setup", "its own page is gone with it"
        assert set(load_config(daemon.config).camera) == {"main-door"}


def test_a_viewer_sees_the_camera_and_cannot_change_it(tmp_path: Path) -> None:
    with Console(tmp_path) as console, Store(console.database):
        console.start().claimed()
        anybody = console.browser()
        assert anybody.get("/camera/door").status == 303
        assert anybody.get("/live/door/frame.jpg").status == 401
        assert anybody.get("/kiosk/door").status == 303
