"""The console's door, against the real server: names, claiming, passwords, sessions, roles, other sites' forms."""

import json
import os
import re
import subprocess
import sys

import pytest
from support.console import PASSWORD, VIEWER_PASSWORD, Browser, Console
from support.mosquitto import until

from edged.console.access import Access
from edged.console.access.sessions import IDLE_S, LONGEST_S, MOST, Sessions
from edged.console.access.state import ALPHABET, StateFile, new_code, read_code, sha256_of
from edged.console.access.throttle import FREE, MOST_A_MINUTE, Throttle
from edged.console.guard import is_our_name
from edged.console.route import local_path
from edged.errors import Unavailable, UsageError


@pytest.fixture
def console(tmp_path):
    with Console(tmp_path) as console:
        yield console.start()


def edged(console, *arguments, typed=""):
    command = [sys.executable, "-m", "edged", *arguments, "--config", str(console.config)]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120, env=os.environ)


def test_the_console_imports_nothing_that_sees_or_writes():
    heavy = ["numpy", "cv2", "onnxruntime", "paho", "av", "sqlite_utils"]
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


def test_the_cookie_is_kept_from_scripts_and_other_sites(console):
    console.claimed()
    answer = console.browser().post("/login", {"name": "admin", "password": PASSWORD})
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
    ],
    ids=["cross-site", "same-site", "typed", "another origin", "no origin of its own"],
)
def test_a_form_of_another_site_is_refused(console, headers):
    browser = console.claimed()
    answer = browser.post("/logout", **headers)
    assert (answer.status, "another site" in answer.text) == (403, True)
    assert browser.get("/").status == 200


def test_a_form_without_the_sessions_token_is_refused(console):
    browser = console.claimed()
    for csrf in ("", "guessed"):
        assert browser.post("/logout", {"csrf": csrf}).status == 403
    assert browser.get("/").status == 200
    other = console.browser().log_in()
    assert browser.post("/logout", {"csrf": other.csrf}).status == 403


def test_wrong_passwords_are_slowed_down_and_the_right_one_waits_too(console):
    console.claimed()
    browser = console.browser()
    for _ in range(FREE):
        assert browser.post("/login", {"name": "admin", "password": "a wrong password"}).status == 403
    answer = browser.post("/login", {"name": "admin", "password": PASSWORD})
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert "wait 2 s" in answer.text
    assert until(lambda: browser.post("/login", {"name": "admin", "password": PASSWORD}).status == 303)


def test_wrong_tokens_and_codes_are_slowed_down_as_well(console):
    browser = console.browser()
    statuses = {browser.get("/", Authorization="Bearer wrong").status for _ in range(FREE + 2)}
    assert statuses == {401, 429}
    assert browser.post("/claim", {"code": "x", "password": PASSWORD, "again": PASSWORD}).status == 429


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 303), ("localhost:8080", 303), ("edged.local", 303), ("entrance", 303), ("[::1]:8080", 303),
        ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("edged.local:80:80", 421), ("a.b", 421), (None, 400),
    ],
)  # fmt: skip
def test_a_name_that_a_stranger_could_point_here_is_refused(console, host, status):
    assert console.browser().get("/", Host=host).status == status


def test_names_in_the_config_are_ours():
    assert is_our_name("door.example.org:8443", ["door.example.org"])
    assert is_our_name("DOOR.example.org.", ["door.example.org"])
    assert not is_our_name("xdoor.example.org", ["door.example.org"])


def test_every_answer_forbids_browsers_what_the_console_does_not_need(console):
    browser = console.claimed()
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
def test_no_path_leads_out_of_the_consoles_own_files(console, path):
    answer = console.claimed().get(path)
    assert (answer.status, b"import" in answer.body, b"root:" in answer.body) == (404, False, False)


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example/", "evil", "/a\nb", ""])
def test_nobody_is_sent_elsewhere_after_the_login(path):
    assert local_path(path) == "/"


def test_a_good_next_page_is_kept(console):
    console.claimed()
    browser = console.browser()
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


def test_who_came_in_by_a_token_is_out_when_it_is_deleted(console):
    admin, screen = console.claimed(), console.browser()
    admin.get("/access")
    page = admin.post("/access/token", {"name": "screen", "role": "admin"}).text
    token = re.search(r"edged_[\w-]+", page)[0]
    assert screen.get(f"/enter?token={token}").location == "/"
    assert screen.get("/access").status == 200
    admin.get("/access")
    assert admin.post("/access/token", {"delete": "screen"}).status == 303
    assert screen.get("/access").location.startswith("/login")
    assert admin.get("/access").status == 200


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


def test_a_port_that_is_taken_is_one_line_and_exit_code_69(console):
    done = edged(console, "console")
    assert done.returncode == 69
    assert f"127.0.0.1:{console.port}: cannot be served" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_restart_keeps_passwords_and_asks_to_log_in(console):
    browser = console.claimed()
    console.stop()
    console.start()
    assert browser.get("/").location == "/login"
    browser.log_in()


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
    first, *others = [sessions.begin("admin", None, 0.0) for _ in range(MOST + 1)]
    assert sessions.find(first, 1.0) is None
    assert sessions.find(others[0], 1.0) is not None


def test_backoff_doubles_by_network_and_slows_down_all_that_were_never_right():
    throttle = Throttle()
    for number in range(FREE + 3):
        throttle.wrong("192.0.2.1", float(number))
    assert throttle.wait_s("192.0.2.1", FREE + 2.0) == 16.0
    assert throttle.wait_s("192.0.2.2", FREE + 2.0) == 0.0
    throttle.right("192.0.2.1")
    assert throttle.wait_s("192.0.2.1", FREE + 2.0) == 0.0
    for number in range(MOST_A_MINUTE):
        throttle.wrong(f"2001:db8:{number:x}::1", 100.0)
    assert throttle.wait_s("192.0.2.1", 101.0) == 0.0
    assert throttle.wait_s("192.0.2.2", 101.0) == 59.0
    assert throttle.wait_s("192.0.2.2", 161.0) == 0.0
    for _ in range(FREE):
        throttle.wrong("2001:db8:aaaa::1", 200.0)
    assert throttle.wait_s("2001:db8:aaaa::2", 200.0) > 0


def test_somebody_who_tries_for_weeks_waits_as_long_as_ever():
    throttle = Throttle()
    for number in range(2000):
        throttle.wrong("192.0.2.1", 301.0 * number)
    assert throttle.wait_s("192.0.2.1", 301.0 * 1999) == 300.0


def test_hashes_of_tokens_take_whatever_is_sent():
    assert len(sha256_of("\udcff")) == 64
