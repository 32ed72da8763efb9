"""The console's pages in a real browser: claimed and paused by keyboard alone, without scripts, narrow, wide, light and dark."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chromium import WAIT_MS, chromium, tab
from support.console import PASSWORD, Console
from support.console import Browser as Visitor
from support.daemon import Daemon, looped, write_clip
from support.gpio import FileChip
from support.mosquitto import until

from edged.console.pages import MODULES

FILLED = {"camera": ["door"], "day": ["2026-11-02"], "period": ["week", "month"]}
"""What stands for each part of an address."""
MORE = ("/nothing-there", "/pause", "/events?kind=system", "/events?from=2027&to=x", "/kiosk/yard?lang=fr")
"""Pages that say what is wrong, too."""
FORMS = ("/camera/door/change?enter_score=0.9&left=10", "/camera/door/change?enter_score=9", "/setup/walk/door?since=1")
ELSEWHERE = ("/enter", "/claim", "/login")
"""Of these only somebody sees a page who is not logged in."""
ALARM = """
[output.buzzer]
kind = "gpio"
name = "Buzzer"
when = ["camera_lost"]
line = "BUZZER"
"""
SITE = '\n[report]\nsite = "Clinic"\ntimezone = "Europe/Madrid"\ntarget_percent = 90\n'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console beside a daemon that watches."""
    folder = tmp_path_factory.mktemp("watched")
    own = tmp_path_factory.mktemp("console")
    cameras = {"door": looped(write_clip(folder / "clip.mp4")), "yard": "rtsp://127.0.0.1:9/none"}
    chip = FileChip(folder / "chips")
    with (
        Daemon(folder, cameras, extra=SITE + ALARM, environment=chip.environment) as daemon,
        Console(own, config=daemon.config) as console,
    ):
        daemon.start()
        assert daemon.serves()
        yield console.start()


@pytest.fixture(scope="module")
def visitor(watched: Console) -> Visitor:
    return watched.claimed()


@pytest.fixture(scope="module")
def cookie(visitor: Visitor) -> str:
    return visitor.cookie


def all_pages() -> list[str]:
    """Of every route that there is, the addresses; one with a part that nobody has filled in here is an error."""
    paths = [
        route.path
        for module in MODULES
        for route in module.ROUTES
        if "GET" in (route.methods or ()) and not route.path.startswith(("/api/", "/live/"))
    ]
    for name, values in FILLED.items():
        paths = [path.replace(f"{{{name}}}", value) for path in paths for value in values[: 99 if name in path else 1]]
    assert not [path for path in paths if "{" in path]
    return [path for path in paths if path not in ELSEWHERE]


def at(console: Console) -> str:
    return f"http://127.0.0.1:{console.port}"


def keys(page: Any, *pressed: str) -> None:
    """Type texts and press keys (`Tab`, `Enter`), as somebody without a mouse does."""
    for key in pressed:
        page.keyboard.press(key) if key in ("Tab", "Enter") else page.keyboard.type(key)


def test_a_device_is_claimed_and_entered_again_by_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    with Console(tmp_path) as console, tab(browser, at(console.start())) as page:
        page.goto("/")
        page.wait_for_selector("#code:focus")
        keys(page, console.state["code"], "Tab", PASSWORD, "Tab", PASSWORD, "Tab", "Enter")
        page.wait_for_selector("text=Is the rule kept today?")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_selector("#password:focus")
        keys(page, "not the password", "Enter")
        page.wait_for_selector("text=This is not the password")
        page.wait_for_selector("#password:focus")
        keys(page, PASSWORD, "Enter")
        page.wait_for_selector("text=Is the rule kept today?")


def test_the_first_page_shows_a_fresh_picture_with_its_age(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie) as page:
        page.goto("/")
        page.wait_for_selector(".picture canvas[role=img][aria-label*='faces hidden']")
        first = page.evaluate("document.querySelector('.picture canvas').toDataURL()")
        page.wait_for_function("was => document.querySelector('.picture canvas').toDataURL() !== was", arg=first)
        assert page.inner_text(".picture .age").endswith(" s old")
        assert page.locator("#clocks").is_hidden()


def test_the_picture_stays_when_the_figures_are_renewed(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie) as page:
        page.clock.install()
        page.goto("/")
        page.wait_for_selector(".picture canvas")
        page.evaluate(
            "document.querySelector('.picture canvas').dataset.known = document.querySelector('h3').dataset.old = 1"
        )
        page.clock.fast_forward(31_000)
        page.wait_for_function("() => !document.querySelector('h3').dataset.old")
        assert page.locator(".picture canvas[data-known]").count() == 1
        assert page.locator(".picture img").count() == 0


def test_an_open_page_goes_on_when_something_in_it_was_clicked(
    browser: Any, watched: Console, visitor: Visitor, cookie: str
) -> None:
    """It shows new figures, and what was clicked keeps the focus; every page comes to tell that faces are shown unhidden."""
    with tab(browser, at(watched), cookie) as page:
        page.clock.install()
        page.goto("/")
        page.locator("#fresh a", has_text="All reports").focus()
        page.evaluate("document.querySelector('.lead').dataset.old = 1")
        with tab(browser, at(watched), cookie) as other, tab(browser, at(watched), cookie) as third:
            third.clock.install()
            third.goto("/camera/door/change?enter_score=0.7")
            assert visitor.get("/camera/door").status == 200
            assert visitor.post("/camera/door/clear", {"reason": "the lens was changed"}).status == 303
            other.goto("/camera/door")
            other.wait_for_selector("#live[data-state=live]")
            assert until(lambda: "faces are shown unhidden" in visitor.get("/health").text)
            assert page.locator("text=faces are shown unhidden").count() == 0
            page.clock.fast_forward(31_000)
            page.wait_for_function("() => !document.querySelector('.lead').dataset.old")
            third.clock.fast_forward(31_000)
            for one in (page, third):
                one.wait_for_selector("main >> text=faces are shown unhidden")
            assert page.evaluate("document.activeElement.textContent") == "All reports"
            visitor.get("/camera/door")
            assert visitor.post("/camera/door/clear", {"reason": ""}).status == 303
            assert until(lambda: "faces are shown unhidden" not in visitor.get("/health").text)
            third.clock.fast_forward(31_000)
            third.wait_for_selector("main >> text=faces are shown unhidden", state="detached")


def test_the_sign_at_the_door_outlives_a_restart_of_the_console(browser: Any, tmp_path: Path) -> None:
    with Console(tmp_path) as console:
        admin = console.start().claimed()
        admin.get("/access")
        token = re.search(r"edged_[\w-]+", admin.post("/access/token", {"name": "screen", "role": "viewer"}).text)
        assert token is not None
        with tab(browser, at(console)) as page:
            page.goto(f"/enter?token={token[0]}&to=/kiosk/door")
            page.wait_for_selector("#sign")
            console.stop()
            console.start()
            with page.expect_response(re.compile("/live/door/people")) as answered:
                pass
            assert answered.value.status == 503  # no daemon runs here
            assert page.url.endswith("/kiosk/door")


def test_a_browser_whose_clock_is_wrong_is_told(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie) as page:
        page.clock.install(time="2020-01-01T00:00:00Z")
        page.goto("/")
        page.wait_for_selector("#clocks:not([hidden])")


def test_without_scripts_the_device_is_paused_and_watches_again(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie, java_script_enabled=False) as page:
        page.goto("/")
        assert page.locator(".picture img").count() == 1
        page.get_by_role("button", name="1 hour").click()
        page.wait_for_selector("text=Paused by console (admin)")
        page.goto("/kiosk/door")
        said = page.inner_text("#sign")
        assert "Nobody is watched now" in said
        assert re.search(r"Paused by console \(admin\) until .*\d\d:\d\d\.", said), said
        page.goto("/")
        page.get_by_role("button", name="Watch again now").click()
        page.wait_for_selector("text=Watch nobody for a while")


def test_every_page_there_is_can_be_used_by_everybody_and_on_a_phone(
    browser: Any, watched: Console, visitor: Visitor
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    assert until(lambda: visitor.get("/live/door/frame.jpg").status == 200)
    paths = [path for path in all_pages() if visitor.get(path).headers.get("content-type", "").startswith("text/html")]
    assert {"/", "/camera", "/setup/place", "/kiosk/door", "/reports/2026-11-02"} <= set(paths)
    with tab(browser, at(watched), visitor.cookie) as page:
        for path in (*paths, *MORE, *FORMS):
            look_at(axe.Axe(), page, path)
        visitor.get("/camera/door")
        assert visitor.post("/camera/door/clear", {"reason": "the lens was changed"}).status == 303
        look_at(axe.Axe(), page, "/camera/door")
        assert page.locator("text=Faces are shown unhidden").count() == 1
        page.get_by_role("button", name="Hide them again").click()
        page.wait_for_selector("text=Show faces unhidden")
    with tab(browser, at(watched)) as page:
        for path in ("/login", "/nothing-there"):
            look_at(axe.Axe(), page, path)


def test_a_device_that_nobody_has_claimed_can_be_used_by_everybody(browser: Any, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with Console(tmp_path) as console, tab(browser, at(console.start())) as page:
        for path in ("/claim", "/nothing-there"):
            look_at(axe.Axe(), page, path)


def look_at(axe: Any, page: Any, path: str) -> None:
    """In both themes, and in windows of a phone and of a wide screen: nothing to object to, and nothing wider than the window."""
    page.emulate_media(color_scheme="light")
    page.goto(path, timeout=WAIT_MS)
    found = axe.run(page)
    assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    page.emulate_media(color_scheme="dark")
    found = axe.run(page, options={"runOnly": ["color-contrast"]})
    assert found.violations_count == 0, f"{path}, dark: {found.generate_report()}"
    for width in (360, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, (path, width)
        cut = page.evaluate(CUT)
        assert not cut, (path, width, cut)


CUT = """[...document.querySelectorAll(".table")].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.tabIndex < 0)
  .map((one) => one.textContent.trim().slice(0, 60))"""
"""Tables that are cut off, and that nobody can scroll by keyboard."""


def test_the_calendar_and_the_events_are_read_on_a_phone_without_scrolling(
    browser: Any, watched: Console, cookie: str
) -> None:
    with tab(browser, at(watched), cookie, viewport={"width": 360, "height": 740}) as page:
        for path in ("/reports", "/events", "/", "/health"):
            page.goto(path)
            assert page.locator(".table table").count() > 0, path
            assert page.evaluate(
                "[...document.querySelectorAll('.table')].every((t) => t.scrollWidth <= t.clientWidth)"
            ), path
        page.goto("/reports")
        assert page.locator(".calendar a[data-weekday]").first.is_visible()


def test_from_the_login_to_a_saved_threshold_by_keyboard_alone(browser: Any, watched: Console, cookie: str) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(60):
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached by Tab")

    with tab(browser, at(watched)) as page:
        page.goto("/camera/door")
        page.wait_for_selector("#password:focus")
        keys(page, PASSWORD, "Enter")
        page.wait_for_selector("#enter_score")
        tab_to("#enter_score")
        page.keyboard.press("Control+A")
        keys(page, "0.62", "Enter")
        page.wait_for_selector("text=Score for a verdict: 0.5 → 0.62")
        tab_to("button.main")
        keys(page, "Enter")
        page.wait_for_selector("text=Saved, and in force.")
        assert page.input_value("#enter_score") == "0.62"


def test_an_alarm_on_the_spot_is_acknowledged_with_a_button(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie) as page:
        page.goto("/")
        page.get_by_role("button", name="Acknowledge buzzer").click()

        def silent() -> bool:
            page.reload()
            return bool(page.locator("text=Acknowledged: it is silent").count())

        assert until(silent), "the daemon's output takes it up in its next step"
        assert "A camera sees nothing" in page.inner_text("#fresh")
        assert page.get_by_role("button", name="Acknowledge buzzer").count() == 0
