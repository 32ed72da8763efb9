"""`mqtt.host` is a name or an address alone; anything around it is refused with the right spelling."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.config import load_config
from edged.config.address import check_host
from edged.config.load import parse_config
from edged.errors import ConfigError

ALONE = "must be the broker's name or address alone"


@pytest.mark.parametrize(
    "host", ["h", "Broker-1.example.org.", "my_host", "192.168.1.10", "::1", "fe80::1%eth0", "münchen.example"]
)
def test_a_name_or_an_address_is_taken_as_it_is(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize(
    ("host", "right"),
    [
        ("mqtt://h:1883", 'write host = "h", port = 1883'),
        ("h:1883", 'write host = "h", port = 1883'),
        ("mqtts://me:secret@h", 'write host = "h", tls = true, username and password_file'),
        ("[::1]", 'write host = "::1"'),
        ("[::1]:8883", 'write host = "::1", port = 8883'),
        ("wss://h/mqtt", 'write host = "h"; MQTT over WebSockets is not spoken'),
        ("h/", 'write host = "h"'),
        ("my broker", 'such as "broker.example.org" or "192.168.1.10"'),
        ("h:99999", 'such as "broker.example.org" or "192.168.1.10"'),
        ("a..b", 'such as "broker.example.org" or "192.168.1.10"'),
        (" ", 'such as "broker.example.org" or "192.168.1.10"'),
    ],
)
def test_anything_else_is_refused_with_the_right_spelling_and_without_the_password(
    tmp_path: Path, host: str, right: str
) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(f'[mqtt]\nhost = "{host}"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: key mqtt.host = '")
    assert ALONE in line
    assert line.endswith(f"{right} (line 2)")
    assert "secret" not in line


@pytest.mark.parametrize(
    "value",
    [
        "user:q7z@h",
        "user:q7z@h:1883",
        "q7z@h",
        "user:q7 q7z@h",
        "user:q7//q7z@h",
        "mqtt:user:q7z@h",
        "mqtt:/user:q7z@h",
        "mqtt:///user:q7z@h",
        "MQTT://user:q7z@h",
        "rtsp:///user:q7z@h/x",
        "rtsp:user:q7z@h/x",
        "rtsp://user:q7z@",
        "file://user:q7z@h/x.mp4",
        "gst:rtspsrc location=rtsp://h/x user-id=user user-pw=q7z ! rtph264depay",
        'gst:rtspsrc location=rtsp://h/x user-pw = "q7 q7z" ! rtph264depay',
        "gst:rtspsrc location=rtsp://user:q7z@h ! rtph264depay",
    ],
)
@pytest.mark.parametrize("key", ["mqtt.host", "camera.door.source", "mqtt.prefix"])
def test_a_password_in_a_refused_value_is_not_shown_whatever_was_meant(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(_nested(key, value), tmp_path / "edged.toml")
    assert f"key {key} = '" in str(caught.value)
    assert "q7" not in str(caught.value)


def _nested(key: str, value: object) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}


@given(st.text(max_size=40))
@settings(deadline=None)
def test_whatever_is_written_there_is_taken_or_refused_in_one_line(host: str) -> None:
    try:
        said = check_host(host)
    except ValueError as error:
        said = str(error)
    assert said == host or ALONE in said


@pytest.mark.parametrize(
    "table",
    [
        '[device]\nname = "a\\nb"\n',
        '[report]\nsite = "a\\u001b[31mb"\n',
        '[report]\nrequirement = "a\\rb"\n',
        '[camera.door]\nsource = "file:///x.mp4"\nname = "a\\u2028b"\n',
        '[output.lamp]\nkind = "gpio"\nwhen = ["alive"]\nline = "GPIO17"\nname = "a\\u0085b"\n',
        '[device]\nname = "a\\u202Eb"\n',
        '[report]\nsite = "a\\u2066b"\n',
        '[report]\nrequirement = "a\\u200Fb"\n',
        '[camera.door]\nsource = "file:///x.mp4"\nname = "a\\uFEFFb"\n',
    ],
)
def test_texts_for_people_have_one_line_and_no_control_characters(table: str, tmp_path: Path) -> None:
    """They stand in logs, MQTT, mail headers and on pages."""
    file = tmp_path / "edged.toml"
    file.write_text(table if "camera" in table else table + '[camera.door]\nsource = "file:///x.mp4"\n')
    with pytest.raises(ConfigError, match="line break or another control character"):
        load_config(file)
