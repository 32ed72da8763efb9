"""The console's door, against the real server: names, claiming, passwords, sessions, roles, other sites' forms."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from support.console import PASSWORD, VIEWER_PASSWORD, Answer, Browser, Console
from support.mosquitto import until

from edged.console.access import Access, passwords
from edged.console.access.gate import SCREEN_S
from edged.console.access.sessions import IDLE_S, LONGEST_S, MOST_EACH, Sessions
from edged.console.access.state import ALPHABET, StateFile, new_code, read_code, sha256_of
from edged.console.access.throttle import FREE, MOST_A_MINUTE, Throttle
from edged.console.guard import is_our_name
from edged.console.pages.access import password as set_password
from edged.console.route import local_path
from edged.errors import Unavailable, UsageError


@pytest.fixture
def console(tmp_path):
    with Console(tmp_path) as console:
        yield console.start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One that is claimed, for tests that change nothing about who may come in."""
    with Console(tmp_path_factory.mktemp("shared")) as console:
        console.start().claimed()
        yield console


def a_request():
    return Request({"type": "http", "scheme": "http", "path": "/", "headers": [], "client": ("192.0.2.1", 1)})


def edged(console, *arguments, typed=""):
    command = [sys.executable, "-m", "edged", *arguments, "--config", str(console.config)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120, env=os.environ)


def test_the_console_imports_nothing_that_sees_or_writes():
    heavy = ["numpy", "cv2", "onnxruntime", "paho", "av", "sqlite_utils", "prometheus_client"]
    console = "import sys, edged.cli.console, edged.console.app, edged.console.server"
    code = f"{console}; print([module for module in {heavy} if module in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unclaimed_device_answers_nothing_but_the_claim(console):
    stranger = console.browser()
    for path in ("/", "/logout", "/nothing-there"):
        answer = stranger.get(path)
        assert (answer.status, answer.location) in {(303, "/claim"), (404, ""), (405, "")}, path
        assert "Main door" not in answer.text
    assert stranger.get("/").location == "/claim"
    assert "Code of this device" in stranger.get("/claim").text
    assert stranger.post("/login", {"password": PASSWORD}).location == "/claim"


def test_the_code_is_told_in_the_log_and_by_edged_claim_and_only_it_claims(console):
    code = console.state["code"]
    assert re.fullmatch(f"[{ALPHABET}]{{8}}", code)
    assert code in console.log
    assert f"code: {code}" in edged(console, "claim").stdout
    browser = console.browser()
    wrong = browser.post("/claim", {"code": "00000000", "password": PASSWORD, "again": PASSWORD})
    assert (wrong.status, "This is not the code" in wrong.text) == (400, True)
    typed = f" {code[:4].lower()}-{code[4:].replace('0', 'o').replace('1', 'l')} "
    assert browser.post("/claim", {"code": typed, "password": PASSWORD, "again": PASSWORD}).location == "/"
    assert browser.get("/").status == 200
    assert console.state["code"] is None
    assert "claimed" in edged(console, "claim").stdout
    again = console.browser().post("/claim", {"code": code, "password": PASSWORD, "again": PASSWORD})
    assert again.location == "/login"


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [("short", "short", "12 to 256"), (PASSWORD, PASSWORD + "r", "differ"), ("a" * 14, "a" * 14, "more than three")],
)
def test_a_password_that_will_not_do_is_refused_with_what_would(console, password, again, said):
    answer = console.browser().post("/claim", {"code": console.state["code"], "password": password, "again": again})
    assert (answer.status, said in answer.text) == (400, True)
    assert console.state["passwords"] == {}


def test_only_hashes_are_kept_and_only_for_the_console(console):
    browser = console.claimed()
    text = (console.own / "access.json").read_text()
    assert "$argon2id$v=19$m=19456,t=3,p=1$" in text
    assert PASSWORD not in text
    assert browser.cookie.partition("=")[2] not in text
    assert (console.own / "access.json").stat().st_mode & 0o077 == 0
    assert console.own.stat().st_mode & 0o077 == 0


def test_logging_in_out_and_a_session_of_somebody_else(console):
    browser = console.claimed()
    stranger = console.browser()
    assert stranger.get("/").location == "/login"
    assert stranger.get("/?a=1").location == "/login?next=/%3Fa%3D1"
    wrong = stranger.post("/login", {"name": "admin", "password": "a wrong password"})
    assert (wrong.status, "This is not the password" in wrong.text) == (403, True)
    stranger.log_in()
    stolen = Browser(console.port, cookie=stranger.cookie)
    assert stolen.get("/").status == 200
    assert stranger.post("/logout").location == "/login"
    assert stolen.get("/").status == 303
    assert browser.get("/").status == 200
    assert Browser(console.port, cookie="edged=nonsense").get("/").status == 303


def test_the_cookie_is_kept_from_scripts_and_other_sites(shared):
    answer = shared.browser().post("/login", {"name": "admin", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # over plain HTTP browsers would drop it, and nobody could log in


def test_a_new_password_ends_the_sessions_of_the_old_one(console):
    browser = console.claimed()
    done = edged(console, "passwd", typed="another password of mine\n")
    assert (done.returncode, done.stderr) == (0, "the admin's password is set\n")
    assert browser.get("/").location == "/login"
    assert console.browser().post("/login", {"name": "admin", "password": PASSWORD}).status == 403
    console.browser().log_in("another password of mine")
    assert "12 to 256" in edged(console, "passwd", typed="short\n").stderr


def test_sessions_are_changed_in_the_servers_one_thread_alone(tmp_path):
    begun = []

    class Watched(Access):
        def begin(self, *arguments):
            begun.append(threading.current_thread())
            super().begin(*arguments)

    app = Starlette()
    app.state.access = Watched(tmp_path)
    request = a_request()
    request.scope["app"], request.state.form = app, {"password": PASSWORD, "again": PASSWORD}
    assert anyio.run(set_password, request).status_code == 303
    assert begun == [threading.current_thread()]


def test_a_viewer_has_a_password_of_its_own(console):
    assert "comes first" in edged(console, "passwd", "--viewer", typed=f"{VIEWER_PASSWORD}\n").stderr
    console.claimed()
    assert console.browser().post("/login", {"name": "viewer", "password": ""}).status == 403
    edged(console, "passwd", "--viewer", typed=f"{VIEWER_PASSWORD}\n")
    viewer = console.browser().log_in(VIEWER_PASSWORD, "viewer")
    assert "Log out (viewer)" in viewer.get("/").text
    assert console.browser().post("/login", {"name": "admin", "password": VIEWER_PASSWORD}).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": None, "Origin": "http://evil.example"},
        {"Sec_Fetch_Site": None, "Origin": "null"},
        {"Sec_Fetch_Site": None, "Origin": "http://["},
    ],
    ids=["cross-site", "same-site", "typed", "another origin", "no origin of its own", "no address"],
)
def test_a_form_of_another_site_is_refused(shared, headers):
    browser = shared.browser().log_in()
    answer = browser.post("/logout", **headers)
    assert (answer.status, "another site" in answer.text) == (403, True)
    assert browser.get("/").status == 200


def test_a_page_before_that_is_no_address_leaves_the_error_as_it_is(shared):
    answer = shared.browser().log_in().get("/nothing-there", referer="http://[")
    assert (answer.status, "Back to the page before" in answer.text) == (404, False)


def test_a_form_without_the_sessions_token_is_refused(shared):
    browser = shared.browser().log_in()
    for csrf in ("", "guessed"):
        assert browser.post("/logout", {"csrf": csrf}).status == 403
    assert browser.get("/").status == 200
    other = shared.browser().log_in()
    assert browser.post("/logout", {"csrf": other.csrf}).status == 403


def test_wrong_passwords_are_slowed_down_and_the_right_one_waits_too(console):
    console.claimed()
    browser = console.browser()
    answers: list[Answer] = []

    def waits_too() -> bool:
        for _ in range(FREE):
            assert console.browser().post("/login", {"name": "admin", "password": "a wrong password"}).status == 403
        answers.append(browser.post("/login", {"name": "admin", "password": PASSWORD}))
        return answers[-1].status == 429

    assert until(waits_too), (
        "the two seconds may be over on a busy machine: then the right one is let in, and all begins anew"
    )
    answer = answers[-1]
    assert answer.headers["retry-after"] in ("1", "2"), "some of the two seconds may be over"
    assert f"wait {answer.headers['retry-after']} s" in answer.text
    assert until(lambda: browser.post("/login", {"name": "admin", "password": PASSWORD}).status == 303)


def test_of_many_tries_at_once_no_more_are_checked_than_one_after_the_other(console):
    console.claimed()
    fields = {"name": "admin", "password": "a wrong password"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: console.browser().post("/login", fields).status, range(8)))
    assert answers.count(403) <= FREE, answers
    assert set(answers) <= {403, 429}
    assert answers.count(429) >= 8 - FREE


def test_never_are_two_passwords_hashed_at_once(monkeypatch):
    """Each takes 19 MiB: those who log in, and those who set a password, wait for each other."""
    most, now, turn = [0], [0], threading.Lock()

    class Counting:
        def work(self, *_: object) -> str:
            with turn:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.01)
            with turn:
                now[0] -= 1
            return "hash"

        hash = verify = work

    monkeypatch.setattr(passwords, "HASHER", Counting())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(passwords.hash_of, ["a password"] * 4))
        list(threads.map(lambda _: passwords._matches("hash", "a password"), range(4)))
    assert most[0] == 1


def test_wrong_tokens_and_codes_are_slowed_down_as_well(console):
    browser = console.browser()
    assert {browser.get("/", Authorization="Bearer wrong").status for _ in range(FREE)} == {401}
    # The wait grows with each that is wrong: on a busy machine a short one may be over.
    assert until(lambda: browser.get("/", Authorization="Bearer wrong").status == 429)
    assert until(lambda: browser.post("/claim", {"code": "x", "password": PASSWORD, "again": PASSWORD}).status == 429)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 303), ("localhost:8080", 303), ("edged.local", 303), ("entrance", 303), ("[::1]:8080", 303),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("edged.local:80:80", 421), ("a.b", 421), (None, 400),
    ],
)  # fmt: skip
def test_a_name_that_a_stranger_could_point_here_is_refused(shared, host, status):
    assert shared.browser().get("/", Host=host).status == status


def test_names_in_the_config_are_ours():
    assert is_our_name("door.example.org:8443", ["door.example.org"])
    assert is_our_name("DOOR.example.org.", ["door.example.org"])
    assert not is_our_name("xdoor.example.org", ["door.example.org"])


def test_every_answer_forbids_browsers_what_the_console_does_not_need(shared):
    browser = shared.browser().log_in()
    for path in ("/", "/claim", "/nothing", "/static/console.css"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers
    assert browser.get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/..%00/",
        "/static/%00",
    ],
)
def test_no_path_leads_out_of_the_consoles_own_files(shared, path):
    answer = shared.browser().log_in().get(path)
    assert (answer.status, b"import" in answer.body, b"root:" in answer.body) == (404, False, False)


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example/", "evil", "/a\nb", "", "http://["]
)
def test_nobody_is_sent_elsewhere_after_the_login(path):
    assert local_path(path) == "/"


def test_a_good_next_page_is_kept(shared):
    browser = shared.browser()
    assert browser.post("/login", {"name": "admin", "password": PASSWORD, "next": "/?day=1"}).location == "/?day=1"


def test_the_address_of_a_start_with_once_lets_in_once(tmp_path):
    with Console(tmp_path) as console:
        console.start("--once")
        path = console.address.removeprefix(f"http://127.0.0.1:{console.port}")
        first, second = console.browser(), console.browser()
        assert first.get(path).location == "/"
        assert first.get("/").status == 200
        assert second.get(path).location == "/login"
        assert second.get("/").status == 303


def tokens_of(admin):
    """A new token for each role, made by this admin."""
    tokens = {}
    for role in ("viewer", "admin"):
        admin.get("/access")
        page = admin.post("/access/token", {"name": role, "role": role}).text
        tokens[role] = re.search(r"edged_[\w-]+", page)[0]
    return tokens


def test_an_address_lets_in_with_a_viewers_token_until_that_is_deleted_and_never_with_an_admins(console):
    admin, screen = console.claimed(), console.browser()
    tokens = tokens_of(admin)
    refused = screen.get(f"/enter?token={tokens['admin']}&to=/access")
    assert (refused.status, "history and in logs" in refused.text, screen.cookie) == (403, True, "")
    assert tokens["admin"] not in refused.text
    assert console.browser().get("/access", Authorization=f"Bearer {tokens['admin']}").status == 200
    assert screen.get(f"/enter?token={tokens['viewer']}").location == "/"
    assert screen.get("/access").status == 403
    assert screen.get("/").status == 200
    admin.get("/access")
    assert admin.post("/access/token", {"delete": "viewer"}).status == 303
    assert screen.get("/").location.startswith("/login")
    assert admin.get("/access").status == 200


def test_the_address_of_a_start_is_worth_nothing_later(tmp_path, monkeypatch):
    access, request = Access(tmp_path / "state", once=True), a_request()
    access.file.open()
    shown = access.once_token
    monkeypatch.setattr(access, "_once_until_s", access._clock.monotonic_s())
    assert not access.enter(request, Response(), shown)
    assert access.once_token is not None


@pytest.mark.parametrize(
    ("site", "use", "status"),
    [
        ("cross-site", "image", 403), ("same-site", "iframe", 403), ("cross-site", None, 403),
        ("cross-site", "document", 303), ("none", "document", 303), ("same-origin", "empty", 303), (None, None, 303),
    ],
)  # fmt: skip
def test_no_page_elsewhere_spends_its_readers_tries_with_a_picture(shared, site, use, status):
    headers = {"Sec_Fetch_Site": site, "Sec_Fetch_Dest": use}
    if status == 403:
        statuses = {shared.browser().get("/enter?token=wrong", **headers).status for _ in range(FREE + 2)}
        assert statuses == {403}
    else:
        assert shared.browser().get("/enter?token=wrong", **headers).status in (303, 429)


def test_of_two_that_claim_at_the_same_moment_one_is_told_that_it_was_too_late(tmp_path):
    access = Access(tmp_path / "state")
    access.file.open()
    access.set_password("admin", "the first of the two", first=True)
    with pytest.raises(UsageError, match="somebody else"):
        access.set_password("admin", "the second of the two", first=True)
    access.set_password("admin", "a new one of the owner")


def test_a_console_that_is_switched_off_says_so_and_ends_well(tmp_path):
    console = Console(tmp_path, {"console": {"enabled": False}})
    done = edged(console, "console")
    assert (done.returncode, done.stderr) == (0, "the console is switched off: enabled = false in [console]\n")


def test_a_port_that_is_taken_is_one_line_and_exit_code_69(shared):
    done = edged(shared, "console")
    assert done.returncode == 69
    assert f"127.0.0.1:{shared.port}: cannot be served" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_restart_keeps_passwords_and_asks_to_log_in(console):
    browser = console.claimed()
    console.stop()
    console.start()
    assert browser.get("/").location == "/login"
    browser.log_in()


def test_a_screen_stays_in_until_its_token_is_deleted(console):
    """Nobody stands at a door who could log in again."""
    admin, screen = console.claimed(), console.browser()
    admin.get("/access")
    page = admin.post("/access/token", {"name": "screen", "role": "viewer"}).text
    token = re.search(r"edged_[\w-]+", page)[0]
    cookie = screen.get(f"/enter?token={token}&to=/kiosk/door").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SCREEN_S}"} <= set(cookie.split("; "))
    assert screen.get("/live/door/people").status == 503  # no daemon runs here
    console.stop()
    console.start()
    assert screen.get("/live/door/people").status == 503
    edged(console, "passwd", "--viewer", typed=f"{VIEWER_PASSWORD}\n")
    assert screen.get("/live/door/people").status == 503
    assert f"Max-Age={SCREEN_S}" in screen.get("/kiosk/door").headers["set-cookie"]
    assert "set-cookie" not in admin.log_in().get("/").headers
    admin.get("/access")
    admin.post("/access/token", {"delete": "screen"})
    assert screen.get("/live/door/people").status == 401
    assert screen.get("/kiosk/door").location.startswith("/login")


def test_a_screen_that_was_logged_out_stays_out_and_an_admins_token_is_no_cookie(console):
    admin, screen = console.claimed(), console.browser()
    tokens = tokens_of(admin)
    assert console.browser().get("/", Cookie=f"edged={tokens['admin']}").location == "/login"
    screen.get(f"/enter?token={tokens['viewer']}")
    other = console.browser()
    other.get(f"/enter?token={tokens['viewer']}")
    assert (screen.get("/").status, other.get("/").status) == (200, 200)
    assert screen.post("/logout", {"csrf": "guessed"}).status == 403
    assert screen.post("/logout").location == "/login"
    assert (screen.cookie, screen.get("/").location) == ("", "/login")
    assert other.get("/").status == 200
    for _ in range(FREE + 2):  # a cookie is no try: a screen whose token is gone shuts nobody out
        assert console.browser().get("/", Cookie="edged=edged_gone").location == "/login"


def test_a_screens_session_ends_by_time_and_begins_anew(tmp_path, monkeypatch):
    access = Access(tmp_path / "state")
    access.file.open()
    token, now = access.add_token("screen", "viewer"), access._clock.monotonic_s()
    request = a_request()
    request.scope["headers"] = [(b"cookie", f"edged={token}".encode())]
    first = access.visitor(request).session
    assert access.visitor(request).session is first
    monkeypatch.setattr(access._clock, "monotonic_s", lambda: now + LONGEST_S + 1)
    later = access.visitor(request)
    assert (later.role, later.session is first) == ("viewer", False)
    access.delete_token("screen")
    assert access.visitor(request) is None


def test_a_damaged_state_is_named_with_its_remedy(console):
    browser = console.claimed()
    (console.own / "access.json").write_text('{"code": null')
    answer = browser.get("/")
    assert (answer.status, "is damaged; delete it" in answer.text) == (503, True)
    assert edged(console, "claim").returncode == 69


def test_two_programs_never_mix_their_changes(tmp_path):
    file = StateFile(tmp_path / "state")
    code = file.open().code
    assert StateFile(tmp_path / "state").open().code == code
    assert json.loads(file.path.read_text())["code"] == code
    file.path.unlink()
    assert file.read().code is None
    (tmp_path / "blocked").write_text("")
    with pytest.raises(Unavailable, match="cannot be made"):
        StateFile(tmp_path / "blocked" / "state").open()


def test_codes_are_read_as_people_type_them():
    assert read_code("o1l8-zz 9a") == "0118ZZ9A"
    assert len({new_code() for _ in range(50)}) == 50


def test_sessions_end_by_monotonic_time_and_the_oldest_makes_room():
    sessions = Sessions()
    token = sessions.begin("admin", "hash", 0.0)
    assert sessions.find(token, IDLE_S - 1) is not None
    assert sessions.find(token, 2 * IDLE_S - 1.5) is not None
    assert sessions.find(token, 3 * IDLE_S) is None
    used_always = sessions.begin("viewer", "hash", 0.0)
    now = 0.0
    while sessions.find(used_always, now) is not None:
        now += IDLE_S / 2
    assert now == pytest.approx(LONGEST_S, abs=IDLE_S)


def test_each_account_has_its_own_room_and_its_longest_idle_session_makes_place():
    sessions = Sessions()
    owner = sessions.begin("admin", "hash", 0.0)
    person = sessions.begin("viewer", "hash", 0.0)
    for _ in range(3 * MOST_EACH):
        sessions.begin("viewer", None, 1.0, by="the token of a screen that keeps no cookie")
    first, second, *_ = [sessions.begin("viewer", "hash", 2.0) for _ in range(MOST_EACH - 1)]
    assert sessions.find(first, 3.0) is not None  # from now on the second is idle for longer
    assert sessions.find(person, 4.0) is not None
    sessions.begin("viewer", "hash", 5.0)
    assert [sessions.find(token, 6.0) is not None for token in (owner, person, first, second)] == [
        True,
        True,
        True,
        False,
    ]


def test_a_hundred_logins_of_viewers_end_no_session_of_the_admin(console):
    admin = console.claimed()
    admin.get("/access")
    page = admin.post("/access/token", {"name": "screen", "role": "viewer"}).text
    token = re.search(r"edged_[\w-]+", page)[0]
    for _ in range(100):
        assert console.browser().get(f"/enter?token={token}").location == "/"
    assert admin.get("/access").status == 200


def test_sessions_without_their_account_are_forgotten(tmp_path):
    access, request = Access(tmp_path / "state"), a_request()
    access.file.open()
    for number in range(5):
        token = access.add_token(f"screen {number}", "viewer")
        assert access.enter(request, Response(), token)
        access.delete_token(f"screen {number}")
    access.begin(request, Response(), "viewer")
    assert len(access._sessions._sessions) == 1


def test_backoff_doubles_by_network_and_slows_down_all_that_were_never_right():
    throttle = Throttle()
    for number in range(FREE + 3):
        throttle.wrong("192.0.2.1", "admin", float(number))
    assert throttle.wait_s("192.0.2.1", "admin", FREE + 2.0) == 16.0
    assert throttle.wait_s("192.0.2.2", "admin", FREE + 2.0) == 0.0
    throttle.right("192.0.2.1", "viewer")
    assert throttle.wait_s("192.0.2.1", "admin", FREE + 2.0) == 16.0
    throttle.right("192.0.2.1", "admin")
    assert throttle.wait_s("192.0.2.1", "admin", FREE + 2.0) == 0.0
    for number in range(MOST_A_MINUTE):
        throttle.wrong(f"2001:db8:{number:x}::1", "admin", 100.0)
    assert throttle.wait_s("192.0.2.1", "admin", 101.0) == 0.0
    assert throttle.wait_s("192.0.2.2", "admin", 101.0) == 59.0
    assert throttle.wait_s("192.0.2.2", "admin", 161.0) == 0.0
    for _ in range(FREE):
        throttle.wrong("2001:db8:aaaa::1", "admin", 200.0)
    assert throttle.wait_s("2001:db8:aaaa::2", "code", 200.0) > 0


def test_somebody_who_tries_for_weeks_waits_as_long_as_ever():
    throttle = Throttle()
    for number in range(2000):
        throttle.wrong("192.0.2.1", "admin", 301.0 * number)
    assert throttle.wait_s("192.0.2.1", "admin", 301.0 * 1999) == 300.0


def test_hashes_of_tokens_take_whatever_is_sent():
    assert len(sha256_of("\udcff")) == 64
