"""What every test may ask for: the long forms of the fault tests run only with --long."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of the fault tests too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="runs with --long"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data/ and eval/ that is not part of this repository; tests that need it skip without it."""
    path = Path(__file__).parent.parent / os.environ.get("EDGED_SHARED", "../shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no {path}/data: set EDGED_SHARED to the folder that holds data/")
    return path
