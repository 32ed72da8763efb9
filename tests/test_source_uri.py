"""Camera URIs: odd file names survive, mistakes are refused in words, passwords are never shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.source import check_source, parse_source, redact

ODD_NAMES = ["a b.mp4", "100%.mp4", "a#b.mp4", "why?.mp4", "Tür & Straße.mp4", "a%20b.mp4", "a+b@c:d.mp4", "人.mp4"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_file_name_can_be_written_as_a_uri(name):
    path = Path("/srv/videos") / name
    source = parse_source(path.as_uri() + "?loop=1")
    assert (source.path, source.options) == (str(path), {"loop": 1})


@pytest.mark.parametrize("name", ["a b.mp4", "Tür.mp4", "100%.mp4", "a+b.mp4"])
def test_a_name_written_as_it_is_is_understood_where_it_can_be(name):
    assert parse_source(f"file:///srv/{name}?realtime=1").path == f"/srv/{name}"


def test_a_name_that_is_not_utf8_keeps_its_bytes():
    assert parse_source("file:///srv/%ff.mp4").path.encode(errors="surrogateescape") == b"/srv/\xff.mp4"


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("file:///srv/a#1.mp4", "%23"),
        ("file:///srv/why?.mp4", "unknown option"),
        ("file:///srv/a%00.mp4", "%00"),
        ("file://srv/a.mp4", "three slashes"),
        ("images:///", "path is missing"),
        ("rtsp:///stream", "host is missing"),
        ("http://h/a", "pictures over http are not read"),
        ("file:///a.mp4?loop=2", "from 0 to 1"),
        ("file:///a.mp4?loop=", "from 0 to 1"),
        ("images:///a?fps=0", "from 1 to 240"),
        ("v4l2:///dev/video0?width=9e9", "from 16"),
    ],
)
def test_a_mistake_says_what_would_be_right(uri, remedy):
    with pytest.raises(ValueError, match=remedy):
        check_source(uri)


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("rtsp://admin:pa/ss#q7z@10.0.0.3/live", "write / as %2F, # as %23; .* credentials_file"),
        ("rtsp://admin:12/34@host/live", "write / as %2F"),
        ("rtsp://admin:q7z?x@10.0.0.3:554/live", r"write \? as %3F"),
        ("rtsp://admin:w@rd/x@10.0.0.3/live", "write / as %2F"),
        ("rtsp://admin:w%rd@10.0.0.3/live", "write % as %25"),
        ("rtsp://admin:w[rd@10.0.0.3/live", r"write \[ as %5B"),
        ("rtsp://admin:w rd@10.0.0.3/live", "a space is written %20"),
        ("rtsp://h:99999/x", "from 1 to 65535; usual is 554"),
        ("rtsps://h:0/x", "from 1 to 65535; usual is 322"),
        ("rtsp://h:55a/x", "from 1 to 65535"),
        ("rtsp://[fd00::1]:70000/x", "from 1 to 65535"),
        ("rtsp://fd00::1/x", "IPv6 address stands in brackets"),
        ("rtsp://:554/x", "host is missing"),
        ("rtsp://h/a\nb", "control character"),
        ("RTSP://h/x", "lower case.*rtsp:"),
        (" file:///a.mp4", "lower case"),
        ("rtsp://admin\uff1aq7z@h/x", "credentials_file"),
    ],
)
def test_a_stream_that_ffmpeg_would_misread_is_refused_with_the_right_spelling(uri, remedy):
    with pytest.raises(ValueError, match=remedy) as caught:
        check_source(uri)
    assert not any(secret in str(caught.value) for secret in ("q7z", "rd@", "34"))


@pytest.mark.parametrize("uri", ["file:///a\tb.mp4", "v4l2:///dev/\nvideo0", "images:///pictures\r", "V4L2:\n\u00b2"])
def test_an_address_with_a_tab_or_a_line_break_is_refused_and_not_read_as_another(uri):
    with pytest.raises(ValueError, match="control character") as caught:
        check_source(uri)
    assert str(caught.value).isprintable(), "a message is one line"


@pytest.mark.parametrize(
    "uri",
    [
        "rtsp://admin:pa%2Fss%23@10.0.0.3:65535/live",
        "rtsp://admin:p@ss@10.0.0.3/live",
        "rtsp://10.0.0.3:554/site@1",
        "rtsp://cam/site@1?user=a@b",
        "rtsp://u:p@[fd00::1]:554/x",
        "rtsps://cam:/x",
    ],
)
def test_an_unusual_stream_that_works_is_taken(uri):
    assert check_source(uri) == uri


def test_a_stream_is_left_as_it_is():
    source = parse_source("rtsp://h:554/a%20b?channel=1#x")
    assert (source.uri, source.path, source.options) == ("rtsp://h:554/a%20b?channel=1#x", "", {})


@pytest.mark.parametrize(
    "password",
    ["geheim", "p@geheim", "@geheim@", "ge/geheim", "geheim#x", "a?geheim", "a geheim", "geheim:1", "//geheim"],
)
def test_a_password_is_never_shown(password):
    shown = redact(f"rtsp://admin:{password}@10.0.0.3:554/stream")
    assert shown == "rtsp://***@10.0.0.3:554/stream"


def test_a_password_among_the_options_of_a_stream_is_not_shown():
    assert redact("rtsp://h/?user=u&password=geheim&channel=1") == "rtsp://h/?user=u&password=***&channel=1"
    assert redact("rtsp://h/user=u_pwd=geheim") == "rtsp://h/user=u_pwd=***"


@pytest.mark.parametrize("uri", ["rtsp://h/a", "file:///srv/a@b.mp4", "v4l2:///dev/v4l/by-path/x@1", "images:///a/b@c"])
def test_what_holds_no_password_is_shown_as_it_is(uri):
    assert redact(uri) == uri


@given(st.text(st.characters(codec="utf-8"), min_size=3, max_size=20))
def test_no_password_at_all_is_shown(password):
    assert password not in redact(f"rtsp://a:{password}@h").removeprefix("rtsp://***@h")


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(lambda s: s not in (".", ".."))
)
def test_any_file_name_survives(name):
    assert parse_source((Path("/srv") / name).as_uri()).path == f"/srv/{name}"


@pytest.mark.parametrize(
    "sink", ["fakesink", "autovideosink sync=false", "xvimagesink", "appsink", "filesink location=x"]
)
def test_a_pipeline_that_ends_in_a_sink_is_refused(sink):
    with pytest.raises(ValueError, match=f"must not end in a sink .{sink.split()[0]}"):
        check_source(f"gst:v4l2src ! jpegdec ! {sink}")
    assert check_source("gst:fakesrc ! jpegdec") == "gst:fakesrc ! jpegdec"


@pytest.mark.parametrize(
    ("option", "least", "most"),
    [("fps", 1, 240), ("width", 16, 16_384), ("height", 16, 16_384), ("exposure", 10, 1_000_000), ("mjpeg", 0, 1)],
)
def test_an_option_has_its_limits(option, least, most):
    for value in (least, most):
        assert parse_source(f"v4l2:///dev/video0?{option}={value}").options == {option: value}
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=option):
            check_source(f"v4l2:///dev/video0?{option}={value}")


@pytest.mark.parametrize("uri", ["csi://0", "csi://0/", "picamera://1?fps=30"])
def test_a_numbered_camera_needs_no_size(uri):
    assert parse_source(uri).path in ("0", "1")


@pytest.mark.parametrize("uri", ["csi://0/front", "csi://0#front", "csi://front", "csi:///0"])
def test_a_numbered_camera_has_nothing_but_its_number(uri):
    with pytest.raises(ValueError, match="named by its number"):
        check_source(uri)
