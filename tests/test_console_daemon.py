"""The console beside a real daemon: health, the interface for programs, pauses, and a daemon that dies while pages are open."""

import io
import json
import re
import zipfile

import jsonschema_rs
import pytest
from support.console import Console
from support.daemon import Daemon, looped, needs_models, write_clip
from support.mosquitto import until

from edged.console.bundle import redacted
from edged.console.parts import PARTS
from edged.host.device import resident_mb

pytestmark = needs_models
SECRETS = """
[report]
site = "Clinic"
timezone = "Europe/Madrid"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    with Daemon(folder, {"door": looped(write_clip(folder / "clip.mp4"))}, extra=SECRETS) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def console(daemon, tmp_path_factory):
    with Console(tmp_path_factory.mktemp("console"), config=daemon.config) as console:
        daemon.start()
        assert daemon.serves()
        yield console.start()


@pytest.fixture(scope="module")
def admin(console):
    return console.claimed()


def token_of(admin, role):
    admin.get("/access")
    page = admin.post("/access/token", {"name": f"test {role}", "role": role}).text
    return page.partition("<code>edged_")[2].partition("<")[0]


@pytest.fixture(scope="module")
def program(console, admin):
    """Asks as a program does, with an admin's token."""
    browser = console.browser()
    browser.headers = {"Authorization": f"Bearer edged_{token_of(admin, 'admin')}", "Content-Type": "application/json"}
    return browser


@pytest.fixture(scope="module")
def reader(console, admin):
    browser = console.browser()
    browser.headers = {"Authorization": f"Bearer edged_{token_of(admin, 'viewer')}"}
    return browser


def test_the_first_page_shows_a_picture_of_each_camera_and_what_the_device_does(daemon, admin):
    page = admin.get("/").text
    assert "Working: 1 of 1 camera watched since" in page
    assert 'src="/live/door/frame.jpg"' in page
    assert until(lambda: admin.get("/live/door/frame.jpg").body[:2] == b"\xff\xd8")
    for fact in ("Temperature", "MQTT broker", "Clock", "Models", "Free disk"):
        assert fact in page


def test_health_tells_of_every_part_and_camera(admin):
    page = admin.get("/health").text
    parts = (PARTS["analysis"], PARTS["store"], PARTS["status"], "Takes pictures: door")
    for part in (*parts, "Pictures looked at", "Finds faces", "This console"):
        assert part.lower() in page.lower(), part
    assert not re.search(r"\b(onnxruntime|analysis|reporter|thermal|rescorer|camera-door)\b", page), (
        "names of the program's own"
    )


def test_the_support_bundle_is_shown_first_and_holds_no_secret_and_no_person(daemon, admin):
    shown = admin.get("/health/bundle").text
    files = zipfile.ZipFile(io.BytesIO(admin.get("/health/bundle.zip").body))
    names = {name.removeprefix("edged-support/") for name in files.namelist()}
    assert names == {"about.txt", "config.json", "status.json", "events.jsonl", "store.json"}
    assert all(name in shown for name in names)
    whole = "".join(files.read(name).decode() for name in files.namelist())
    assert str(daemon.database.parent / "clip.mp4") not in whole
    assert '"kind": "mask"' not in whole
    config = json.loads(files.read("edged-support/config.json"))["config"]
    assert config["camera"]["door"]["source"] == "file://***"


def test_addresses_are_taken_out_of_what_is_sent_to_a_helper():
    text = "rtsp://user:hush@10.0.0.9/1 10.0.0.9 fe80::1:2:3 a@b.example 00:11:22:33:44:55 at 16:31:09"
    assert redacted(text) == "rtsp://*** *** *** *** *** at 16:31:09"


def test_a_pause_is_asked_for_shown_everywhere_and_ended(daemon, admin):
    assert admin.post("/pause", {"for": "60"}).location == "/"
    assert until(lambda: "Paused by console (admin) for another" in admin.get("/").text)
    assert "Paused" in admin.get("/health").text
    assert admin.post("/resume").location == "/"
    assert until(lambda: "Working: 1 of 1" in admin.get("/").text)
    states = [row[0] for row in daemon.rows("SELECT state FROM events WHERE kind = 'system' ORDER BY started_at")]
    assert "paused" in states


def test_a_pause_that_the_daemon_refuses_is_told_as_refused(admin):
    admin.get("/")
    answer = admin.post("/pause", {"for": "9999"})
    assert (answer.status, "This was refused" in answer.text, "mistake" in answer.text) == (409, True, False)


def test_programs_read_with_a_viewers_token_and_change_with_an_admins(program, reader):
    assert reader.get("/api/v1/status").json["cameras"]["door"]["status"] == "online"
    refused = reader.post("/api/v1/pause", Content_Type="application/json")
    assert (refused.status, "needs the admin" in refused.json["error"]) == (403, True)
    answer = program.ask("POST", "/api/v1/pause", b'{"minutes": 5.0}')
    assert (answer.status, answer.json["ok"]) == (200, True)
    assert until(lambda: reader.get("/api/v1/status").json["paused"] is not None)
    assert program.ask("POST", "/api/v1/resume", b"").json["ok"] is True
    assert program.ask("POST", "/api/v1/resume", b"{}", {"Origin": "http://evil.example"}).status == 403


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"minutes": 0}', "minutes"),
        (b'{"minutes": "5"}', "minutes"),
        (b'{"minutes": 5, "until": "tomorrow"}', "not both"),
        (b'{"minutes": 5.5}', "minutes"),
        (b'{"hours": 1}', "hours"),
        (b"\r", "no JSON"),
        (b"[1]", "the body"),
        (b"\xff", "no JSON"),
        (b"[" * 60_000, "no JSON"),
    ],
)
def test_a_body_that_makes_no_sense_is_told_in_words(program, body, said):
    answer = program.ask("POST", "/api/v1/pause", body)
    assert (answer.status, said in answer.json["error"]) == (400, True), answer.text


def test_a_body_that_is_too_large_is_refused(program):
    assert program.ask("POST", "/api/v1/pause", b" " * 100_000).status == 413


def test_every_answer_is_as_the_openapi_document_says(program):
    document = program.get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        if "get" not in methods or "{" in path:
            continue
        answer = program.get(f"/api/v1{path}")
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
        errors = list(validator.iter_errors(answer.json))
        assert (answer.status, errors) == (200, []), path


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "kind=face", "since=x", "colour=red", f"camera={64 * 'x'}"])
def test_a_query_that_makes_no_sense_is_refused(program, query):
    assert program.get(f"/api/v1/events?{query}").status == 400


def test_nobody_in_particular_gets_a_status_code_and_no_page(console):
    answer = console.browser().get("/api/v1/status")
    assert (answer.status, answer.json["ok"], answer.headers["www-authenticate"]) == (401, False, "Bearer")


def test_tokens_are_shown_once_kept_as_hashes_and_deleted(console, admin):
    secret = token_of(admin, "viewer") if not console.state["tokens"] else None
    page = admin.post("/access/token", {"name": "board", "role": "viewer"}).text
    secret = page.partition("<code>")[2].partition("<")[0]
    assert secret.startswith("edged_")
    assert secret not in admin.get("/access").text
    assert secret not in json.dumps(console.state)
    board = console.browser()
    assert board.get(f"/enter?token={secret}&to=/kiosk/door").location == "/kiosk/door"
    assert board.get("/kiosk/door").status == 200
    assert admin.post("/access/token", {"name": "board"}).status == 400
    admin.post("/access/token", {"delete": "board"})
    assert console.browser().get("/api/v1/status", Authorization=f"Bearer {secret}").status == 401


def test_the_viewers_password_is_set_and_taken_away_on_a_page(console, admin):
    fields = {"role": "viewer", "password": "only looking around", "again": "only looking around"}
    admin.get("/access")
    assert admin.post("/access/password", fields).location == "/access?saved=1"
    viewer = console.browser().log_in("only looking around", "viewer")
    assert viewer.get("/access").status == viewer.get("/health/bundle.zip").status == 403
    admin.post("/access/password", {"role": "viewer", "remove": "1"})
    assert viewer.get("/").location == "/login"


def test_the_console_stays_small(console, admin):
    for path in ("/", "/events", "/reports", "/health", "/camera/door"):
        admin.get(path)
    for _ in range(3):
        console.browser().log_in()
    assert resident_mb(console.pid) <= 60  # 60 on an idle machine


def test_a_restart_is_asked_for_and_a_dead_daemon_leaves_every_page(daemon, console, admin):
    assert admin.post("/health/restart").location == "/health?asked=restart"
    assert daemon.wait() == 1  # systemd starts it again; here nobody does
    for path in ("/", "/health", "/events", "/reports", "/access", "/camera", "/health/bundle"):
        answer = admin.get(path)
        assert answer.status in (200, 303), (path, answer.status)
    assert "Not working: edged does not run" in admin.get("/").text
    assert admin.get("/live/door/frame.jpg").status == 503
    assert admin.post("/health/restart").status == 503
    daemon.start()
    assert daemon.serves()
    assert "Working: 1 of 1" in admin.get("/").text
