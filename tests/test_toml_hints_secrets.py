"""No line that may hold a secret is repeated, and no line is long enough to hold anybody up."""

import time

import pytest

from edged.toml_hints import hint, line_of


@pytest.mark.parametrize("option", ["pwd", "usr", "pw", "auth", "password", "token"])
@pytest.mark.parametrize("quotes", ["", "“"])
def test_a_password_in_an_address_is_not_shown(option, quotes):
    line = f"source = {quotes}rtsp://10.0.0.5/live?{option}=hunter2"
    assert "hunter2" not in hint("Invalid value (at line 1, column 10)", line)


def test_the_query_of_any_address_is_not_shown():
    assert "hunter2" not in hint("Invalid value (at line 1, column 10)", "source = rtsp://10.0.0.5/live?k=hunter2")


@pytest.mark.parametrize("line", ["[" + " " * 100_000, "a = 1" + " " * 100_000 + "b", "a." * 50_000 + "b"])
def test_a_padded_line_is_searched_at_once(line):
    start = time.process_time()
    hint("Invalid value (at line 1, column 2)", line)
    line_of("key a.b is wrong", line)
    assert time.process_time() - start < 20, "minutes, where the search is more than linear"
