"""The console's pages in a real browser: claimed and paused by keyboard alone, without scripts, narrow, wide, light and dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.chromium import WAIT_MS, chromium, tab
from support.console import PASSWORD, Console
from support.daemon import Daemon, looped, write_clip

PAGES = ("/", "/events", "/reports", "/health", "/health/bundle", "/access", "/nothing-there")
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
    with (
        Daemon(folder, {"door": looped(write_clip(folder / "clip.mp4"))}, extra=SITE) as daemon,
        Console(own, config=daemon.config) as console,
    ):
        daemon.start()
        assert daemon.serves()
        yield console.start()


@pytest.fixture(scope="module")
def cookie(watched: Console) -> str:
    return watched.claimed().cookie


def at(console: Console) -> str:
    return f"http://127.0.0.1:{console.port}"


def keys(page: Any, *pressed: str) -> None:
    """Type texts and press keys (`Tab`, `Enter`), as somebody without a mouse does."""
    for key in pressed:
        page.keyboard.press(key) if key in ("Tab", "Enter") else page.keyboard.type(key)


def test_a_device_is_claimed_and_entered_again_by_keyboard_alone(browser: Any, tmp_path: Path) -> None:
    with Console(tmp_path) as console, tab(browser, at(console.start())) as page:
        page.goto("/")
        page.wait_for_function("document.activeElement.id === 'code'")
        keys(page, console.state["code"], "Tab", PASSWORD, "Tab", PASSWORD, "Tab", "Enter")
        page.wait_for_selector("text=Is the rule kept today?")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_function("document.activeElement.id === 'password'")
        keys(page, "not the password", "Enter")
        page.wait_for_selector("text=This is not the password")
        page.wait_for_function("document.activeElement.id === 'password'")
        keys(page, PASSWORD, "Enter")
        page.wait_for_selector("text=Is the rule kept today?")


def test_the_first_page_shows_a_fresh_picture_with_its_age(browser: Any, watched: Console, cookie: str) -> None:
    with tab(browser, at(watched), cookie) as page:
        page.goto("/")
        page.wait_for_function("document.querySelector('.picture img').src.startsWith('blob:')")
        first = page.get_attribute(".picture img", "src")
        page.wait_for_function("was => document.querySelector('.picture img').src !== was", arg=first)
        assert page.inner_text(".picture .age").endswith(" s old")
        assert page.locator("#clocks").is_hidden()


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
        page.goto("/")
        page.wait_for_selector("text=Paused by console (admin)")
        page.get_by_role("button", name="Watch again now").click()
        page.wait_for_selector("text=Watch nobody for a while")


@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_is_wider_than_its_window(browser: Any, watched: Console, cookie: str, width: int) -> None:
    with tab(browser, at(watched), cookie, viewport={"width": width, "height": 800}) as page:
        for path in PAGES:
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_object_to(browser: Any, watched: Console, cookie: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with tab(browser, at(watched), cookie, color_scheme=scheme) as page:
        for path in (*PAGES, "/login", "/events?kind=system"):
            page.goto(path, timeout=WAIT_MS)
            found = axe.Axe().run(page)
            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
