"""Where libraries write by themselves is as before once a passing home is gone."""

import os
from pathlib import Path

import pytest

from edged.processes.home import ELSEWHERE, passing_home


@pytest.mark.parametrize("before", [{}, {"HOME": "/home/somebody", "XDG_CACHE_HOME": "/var/cache/somebody"}])
def test_the_environment_is_as_before_also_where_it_named_no_home(monkeypatch, before):
    names = ("HOME", *ELSEWHERE)
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    with passing_home():
        assert Path(os.environ["HOME"]).is_dir()
    assert {name: os.environ[name] for name in names if name in os.environ} == before
