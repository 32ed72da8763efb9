"""What every test may ask for: the long forms of the fault tests (only with --long), shared data, a dead mount.

It imports `edged` before any test does: that keeps ONNX Runtime from reporting its use.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import payloads

import edged  # noqa: F401

payloads.watch()

MNT_DETACH = 2

# How busy the machine is says nothing about the code.
settings.register_profile("any-load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-load")


LONGEST_FIRST = (
    "test_daemon_backends.py", "test_daemon_backends_faults.py", "test_backends_build.py", "test_privacy.py",
    "test_aim_browser.py", "test_cli_engines.py", "test_cli_files.py", "test_daemon.py", "test_kill.py",
    "test_export_places.py", "test_cli.py", "test_package.py", "test_fleet_report.py", "test_tensorrt.py",
    "test_backends_builder.py", "test_console_browser.py", "test_outputs_daemon.py", "test_settings_have_effect.py",
    "test_wrong_clock.py", "test_store_faults.py", "test_camera_faults.py", "test_signals_drowsiness.py",
    "test_console_access.py", "test_aim_pages.py", "test_selftest.py", "test_cli_streams.py", "test_bench.py",
)  # fmt: skip
"""The tests of a file run in one process, since they share what is dear to build; the short files fill up the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of the fault tests too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long")
    # In a shell's background job Ctrl-C is ignored, under nohup the end of the terminal: what the tests start would do so too.
    for ending, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(ending) is signal.SIG_IGN:
            signal.signal(ending, usual)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="runs with --long"))


@pytest.fixture(autouse=True)
def every_payload_meets_its_schema() -> Iterator[None]:
    """Whatever was heard of a broker, printed by a command or made in this process meanwhile."""
    payloads.problems()
    yield
    assert payloads.problems() == []


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data/ and eval/ that is not part of this repository; tests that need it skip without it."""
    path = Path(__file__).parent.parent / os.environ.get("EDGED_SHARED", "../shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no {path}/data: set EDGED_SHARED to the folder that holds data/")
    return path


@pytest.fixture
def dead_mount(tmp_path: Path) -> Iterator[Path]:
    """A file system that answers no question: FUSE with nobody behind it."""
    folder, libc = tmp_path / "share", ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error.strerror}")
    options = f"fd={server},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}".encode()
    if libc.mount(b"edged-test", os.fsencode(folder), b"fuse", 0, options):
        os.close(server)
        pytest.skip(f"may not mount: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        os.close(server)  # whoever waits is told of an error now
        libc.umount2(os.fsencode(folder), MNT_DETACH)
