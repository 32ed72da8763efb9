"""A real browser, Debian's chromium, driven by Playwright; tests skip, with the reason, where either is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 120_000
"""How busy the machine is says nothing about a page."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's."""
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if PROGRAM is None:
        pytest.skip("chromium is not installed; `apt-get install chromium`")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Any, address: str, cookie: str = "", **options: Any) -> Iterator[Any]:
    """A page with the session of `cookie` (`name=value`); nothing may be asked of another host, nothing may fail in it."""
    context = browser.new_context(base_url=address, **options)
    if cookie:
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": address}])
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    foreign: list[str] = []
    mistakes: list[str] = []
    page.on(
        "request",
        lambda request: None if request.url.removeprefix("blob:").startswith(address) else foreign.append(request.url),
    )
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda said: mistakes.append(said.text) if "Content Security Policy" in said.text else None)
    try:
        yield page
        assert foreign == []
        assert mistakes == []
    finally:
        context.close()
