"""The config: every mistake is one line with file, key, value and remedy; the shipped files are right and complete."""

import itertools
import json
import math
import os
import re
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from edged.cli import cli
from edged.config import (
    ButtonInput,
    CameraConfig,
    Config,
    DoorOutput,
    GpioOutput,
    MaskConfig,
    SoundOutput,
    Tasks,
    config_path,
    doubts,
    load_config,
)
from edged.config.source import parse_source, redact
from edged.daemon.client import ask, socket_path
from edged.doctor import examine
from edged.errors import ConfigError, Unavailable
from edged.toml import MAX_TOML_BYTES, load_toml

CONFIG = Path(__file__).parent.parent / "config"
CAMERA = '[camera.door]\nsource = "file:///a.mp4"\n'
SECTIONS = {name: field.annotation for name, field in Config.model_fields.items() if name not in ("camera", "output")}
OUTPUTS_SHOWN = {"lamp": GpioOutput, "voice": SoundOutput, "door": DoorOutput, "button": ButtonInput}
"""The tables of the commented file that show each kind of output."""


@pytest.fixture
def numbered(tmp_path):
    """Load a text that is wrong; give its lines without the file's name, which each must begin with."""

    def load(text):
        path = tmp_path / "edged.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert caught.value.exit_code == 78
        lines = str(caught.value).split("\n")
        assert all(line.startswith(f"{path}: ") for line in lines)
        return [line.removeprefix(f"{path}: ") for line in lines]

    return load


@pytest.fixture
def mistakes(numbered):
    """What `numbered` gives, without the number of the line at its end."""
    return lambda text: [re.sub(r" \(line \d+\)$", "", line) for line in numbered(text)]


@pytest.fixture
def loaded(tmp_path):
    def load(text):
        path = tmp_path / "edged.toml"
        path.write_text(text)
        return load_config(path)

    return load


# --- what a person gets wrong


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[devise]", "key devise: unknown; did you mean device?"),
        ('[device]\nnane = "x"', "key device.nane: unknown; did you mean name?"),
        ("[models]\nthread = 2", "key models.thread: unknown; did you mean threads?"),
        ("[mask]\nvote_second = 1", "key mask.vote_second: unknown; did you mean vote_seconds?"),
        ("[attention]\nyaw_degree = 9", "key attention.yaw_degree: unknown; did you mean yaw_degrees?"),
        ("[drowsiness]\nperclos = 0.1", "key drowsiness.perclos: unknown; did you mean perclos_alarm?"),
        ("[attentions]", "key attentions: unknown; did you mean attention?"),
        ('[defaults]\nprofil = "driver"', "key defaults.profil: unknown; did you mean profile?"),
        (CAMERA + "field_of_vue = 9", "key camera.door.field_of_vue: unknown; did you mean field_of_view?"),
        (CAMERA + "[camera.door.drowsiness]\nenable = 1", "key camera.door.drowsiness.enable: unknown; did you mean enabled?"),
        ("[events]\nlost_second = 1", "key events.lost_second: unknown; did you mean lost_seconds?"),
        ("[store]\nretention = 1", "key store.retention: unknown; did you mean retention_days?"),
        ('[mqtt]\npassword = "x"', "key mqtt.password: unknown; did you mean password_file?"),
        ('[report]\ntime_zone = "UTC"', "key report.time_zone: unknown; did you mean timezone?"),
        ("[defaults]\nfsp = 5", "key defaults.fsp: unknown; did you mean fps?"),
        ('[defaults]\nxyzzy = "Door"', "key defaults.xyzzy: unknown; known here: credentials_file, field_of_view, flip, fps, "
         "profile, region, reset, rotation, smallest_face, stall_seconds, transport"),
        (CAMERA + "rotate = 90", "key camera.door.rotate: unknown; did you mean rotation?"),
        (CAMERA + "[camera.door.mask]\nleast_vote = 9", "key camera.door.mask.least_vote: unknown; did you mean least_votes?"),
        ('[camera.mask]\nsource = "file:///a"\nfpss = 1', "key camera.mask.fpss: unknown; did you mean fps?"),
        (
            "[xyzzy]",
            f"key xyzzy: unknown; known here: {', '.join(sorted({*Config.model_fields, 'defaults'}))}",
        ),
    ],
)  # fmt: skip
def test_an_unknown_key_is_told_with_the_nearest_one(mistakes, text, line):
    assert mistakes(text) == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[device]\ntimezone = "UTC"', "key device.timezone: unknown; it stands in [report]"),
        ('[defaults]\nname = "Door"', "key defaults.name: unknown; it stands in [device] or [camera.door]"),
        ('source = "picamera://0"', "key source: unknown; it stands in [camera.door]"),
        ('[network]\nwifi = "Hall"', "key network: unknown; it stands only in the edged.toml of a stick; take it out"),
        ('[[ssh]]\nkey = "x"', "key ssh: unknown; it stands only in the edged.toml of a stick; take it out"),
        (CAMERA + 'password = "x"', "key camera.door.password: unknown; user and password stand in source, as in "
         "rtsp://user:password@host/path, or in credentials_file"),
        ('[mqtt]\nserver = "x"', "key mqtt.server: unknown; did you mean host?"),
        ('[mqtt]\nHost = "x"', "key mqtt.Host: unknown; did you mean host?"),
    ],
)  # fmt: skip
def test_a_key_that_belongs_elsewhere_is_told_with_its_place(mistakes, text, line):
    assert mistakes(text) == [line]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Madrid", "; did you mean Europe/Madrid?"),
        ("europe/madrid", "; did you mean Europe/Madrid?"),
        ("America/New York", "; did you mean America/New_York?"),
        ("Istanbul", "; did you mean Asia/Istanbul or Europe/Istanbul?"),
        ("GMT+1", "New_York"),
    ],
)
def test_a_time_zone_is_told_with_the_one_that_was_meant(mistakes, written, meant):
    (line,) = mistakes(f'[report]\ntimezone = "{written}"')
    assert line.endswith(meant)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[mask]\nviolations = "none"', "key mask.violations = 'none': must be a list in brackets, as in"),
        (f'[device]\nname = "{"x" * 200}"', "characters at most"),
        ("[mail]\nto = [" + '"a@b.org",' * 99 + "]", "of them at most"),
    ],
)
def test_what_is_no_list_or_too_long_is_told_in_plain_words(mistakes, text, line):
    (said,) = mistakes(text)
    assert line in said
    assert "tuple" not in said


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[store]\nbackups = 31", "key store.backups = 31: must be less than or equal to 30"),
        ("[store]\nretention_days = true", "key store.retention_days = true: must be a value, not true"),
        ("[mask]\nenter_score = 1.5", "key mask.enter_score = 1.5: must be less than or equal to 1"),
        ("[report]\ntarget_percent = nan", "key report.target_percent = nan: must be a finite number"),
        ("[device]\nid = 7", "key device.id = 7: must be text in quotes"),
        ('[device]\nid = "a/b"', "key device.id = 'a/b': must begin with a letter or digit, and hold only letters"),
        ('[mqtt]\ntls = "maybe"', "key mqtt.tls = 'maybe': must be a valid boolean"),
        ("[mqtt]\nport = 70000", "key mqtt.port = 70000: must be less than or equal to 65535"),
        ("[mqtt]\npassword_file = 3", "key mqtt.password_file = 3: must be a path in quotes"),
        ('[models]\ndetector = "yolo"', "key models.detector = 'yolo': must be"),
        ('[mask]\nviolations = ["no"]', "key mask.violations.0 = 'no': must be 'incorrect' or 'none'; did you mean \"none\"?"),
        ('[drowsiness]\nalert_level = "Warnign"', "key drowsiness.alert_level = 'Warnign': must be 'notice', 'warning' or "
         "'alarm'; did you mean \"warning\"?"),
        (CAMERA + "rotation = 45", "key camera.door.rotation = 45: must be 0, 90, 180 or 270"),
        (CAMERA + "region = [0, 0, 0.01, 1]", "key camera.door.region = [0, 0, 0.01, 1]: left, top, right, bottom must"),
        (CAMERA + 'fps = "fast"', "key camera.door.fps = 'fast': must be a valid number"),
        ("[camera.door]", "key camera.door.source: is missing; give it a value"),
        ('[camera."a b"]\nsource = "file:///a"', "key camera.a b = 'a b': must begin with a letter or digit"),
        ('[report]\ntimezone = "Madrid"', "key report.timezone = 'Madrid': not an IANA time zone; names look like Eur"),
        ('[report]\nopen_from = "8"', "key report.open_from = '8': must be a local time like \"08:00\""),
        ("camera = 3", "key camera = 3: must be a table, [camera]"),
        ("[camera]\ndoor = 3", "key camera.door = 3: must be a table, [camera.door]"),
        ("mask = []", "key mask = []: must be a table, [mask]"),
        (CAMERA + "mask = 3", "key camera.door.mask: must be a table, [camera.door.mask]"),
        (CAMERA + "drowsiness = 3", "key camera.door.drowsiness: must be a table, [camera.door.drowsiness]"),
        ("attention = 3", "key attention = 3: must be a table, [attention]"),
        ("[attention]\nenabled = 3", "key attention.enabled = 3: must be a valid boolean"),
        ("[attention]\nlong_seconds = true", "key attention.long_seconds = true: must be a value, not true"),
        ('[attention]\ndistractions = ["often"]', "key attention.distractions.0 = 'often': must be 'long' or 'repeated'"),
        ("[drowsiness]\nperclos_alarm = 15", "key drowsiness.perclos_alarm = 15: must be less than or equal to 1"),
        ('[drowsiness]\nalert_level = "high"', "key drowsiness.alert_level = 'high': must be 'notice', 'warning' or 'alarm'"),
        (CAMERA + 'profile = "cab"', "key camera.door.profile = 'cab': must be 'entrance', 'classroom' or 'driver'"),
        (CAMERA + "field_of_view = 360", "key camera.door.field_of_view = 360: must be less than or equal to 170"),
        ('[models]\nbackend = "gpu"', "key models.backend = 'gpu': must be 'auto', 'onnxruntime' or 'tensorrt'"),
        ("[models]\ndla_core = -1", "key models.dla_core = -1: must be greater than or equal to 0"),
        ('[models]\nproviders = ["CUDA"]', "key models.providers.0 = 'CUDA': must be 'CUDAExecutionProvider', 'OpenVINOE"),
        ('[models]\npose = "whenet"', "key models.pose = 'whenet': must be 'edged', 'heatmap' or 'pnp6'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_key_value_and_remedy(mistakes, text, line):
    assert [told[: len(line)] for told in mistakes(text)] == [line]


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("", True),
        ('backend = "tensorrt"\ndla_core = 1', True),
        ('backend = "onnxruntime"', False),
        ('providers = ["OpenVINOExecutionProvider"]', False),
    ],
)
def test_tensorrt_is_looked_for_unless_another_way_is_named(tmp_path, text, looks):
    path = tmp_path / "edged.toml"
    path.write_text(f"[models]\n{text}")
    assert load_config(path).models.tries_tensorrt is looks


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("/dev/video0", "a camera on this machine is written v4l2:///dev/video0"),
        ("csi:0", "a csi camera is named by its number, as in csi://0"),
        ("v4l2://dev/video0", "a local path needs three slashes: v4l2:///dev/video0"),
        ("file:///", "the path is missing: file:///…"),
        ("rtsp:///stream", "the host is missing: rtsp://host/path"),
        ("file:///a.mp4?loops=1", "unknown option 'loops' for file; it takes fps, loop, realtime"),
        ("v4l2:///dev/video0?fps=0", "option fps='0' must be a whole number from 1 to 240"),
        ("v4l2:///dev/video0?width=x", "option width='x' must be a whole number from 16 to 16384"),
        ("rtsp://[::1/x", "an IPv6 address stands in brackets"),
        ("v4l2:///dev/video٣", "digits are written 0 to 9: v4l2:///dev/video3"),
        ("csi://٣", "digits are written 0 to 9: csi://3"),
        ("v4l2:///dev/video0?fps=٣٠", "digits are written 0 to 9: v4l2:///dev/video0?fps=30"),
        ("rtsp://10.0.0.3:٥٥٤/x", "the port must be a whole number"),
        ("v4l2:///dev/v4l/by-id", "that is a folder of cameras; edged cameras prints the address of each in it"),
        ("v4l2:///dev/v4l/by-id/", "that is a folder of cameras"),
        ("v4l2:///dev/v4l/by-id/../by-path", "that is a folder of cameras"),
        ("rtsp://10.0.0.3/x%0d%0aTeardown:", "a control character cannot stand in an address, not even written as %0d"),
        ("rtsp://known?@evil/", "an @ after the host is written %40"),
        ("rtsp://known#@evil/", "an @ after the host is written %40"),
        ("rtsp://<ip>/stream1", "the host must be the camera's name or address, as in rtsp://192.168.1.20/path"),
        ("rtsp://192.168.1.300/stream1", "the host must be the camera's name or address"),
        ("rtsp://192.168.1/stream1", "the host must be the camera's name or address"),
        ("rtsp://10.0.0.3:99999/x", "the port must be a whole number from 1 to 65535; usual is 554"),
    ],
)
def test_a_wrong_source_says_what_would_be_right(mistakes, source, remedy):
    (line,) = mistakes(f'[camera.door]\nsource = "{source}"')
    assert line.startswith("key camera.door.source = ")
    assert remedy in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[mask]\nenter_score = 0.5", "table [mask]: leave_score = 0.55 must not be above enter_score = 0.5; lower it"),
        (
            CAMERA + "[camera.door.mask]\nleave_score = 0.9",
            "table [camera.door.mask]: leave_score = 0.9 must not be above enter_score = 0.75; lower it",
        ),
        (
            '[report]\nopen_from = "20:00"\nopen_until = "08:00"',
            "table [report]: open_from = 20:00 must be before open_until = 08:00: a report is of one day, from midnight to "
            "midnight; for a night leave both out, and read the hours of two days",
        ),
        (
            '[mqtt]\ncert_file = "a"\ntls = true',
            "table [mqtt]: cert_file and key_file go together: give both, or neither",
        ),
        ('[mqtt]\nca_file = "a"', "table [mqtt]: ca_file, cert_file and key_file need tls = true"),
        ('[mqtt]\npassword_file = "a"', "table [mqtt]: password_file needs username"),
        (
            '[models]\nbackend = "onnxruntime"\ndla_core = 0',
            'table [models]: dla_core is for TensorRT, which backend = "onnxruntime" and providers leave out: take one of '
            "them out",
        ),
        (
            '[models]\nproviders = ["CUDAExecutionProvider"]\ndla_core = 0',
            'table [models]: dla_core is for TensorRT, which backend = "onnxruntime" and providers leave out: take one of '
            "them out",
        ),
        (
            '[models]\nbackend = "tensorrt"\nproviders = ["CUDAExecutionProvider"]',
            'table [models]: providers are for ONNX Runtime: take them out, or set backend = "onnxruntime"',
        ),
        (
            '[models]\nproviders = ["XnnpackExecutionProvider", "XnnpackExecutionProvider"]',
            "table [models]: providers = ['XnnpackExecutionProvider', 'XnnpackExecutionProvider'] names one twice",
        ),
        ("[attention]\ntarget_yaw = 9", "table [attention]: target_yaw and target_pitch go together: give both, or neither"),
        (
            "[attention]\nrepeated_seconds = 30",
            "table [attention]: repeated_seconds = 30.0 must be below window_seconds = 30",
        ),
        (
            "[drowsiness]\nalarm_seconds = 4",
            "table [drowsiness]: alarm_seconds = 4.0 must be below sleep_seconds = 3.0",
        ),
        (
            "[drowsiness]\nclosed_below = 0.4",
            "table [drowsiness]: closed_below = 0.4 must be below open_above = 0.35",
        ),
        (
            "[drowsiness]\nperclos_notice = 0.12",
            "table [drowsiness]: perclos_notice = 0.12 must be below perclos_warning = 0.12",
        ),
        (
            CAMERA + 'profile = "driver"\nfps = 4',
            "table [camera.door]: fps = 4 is too slow for drowsiness; set fps = 5 or more",
        ),
        (
            "[defaults]\nfps = 1\n[attention]\nenabled = true\n" + CAMERA,
            "table [camera.door]: fps = 1 is too slow for attention; set fps = 2 or more",
        ),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_told(mistakes, text, line):
    assert mistakes(text) == [line]


def test_all_mistakes_are_told_at_once(mistakes):
    assert len(mistakes("[store]\nbackups = -1\nretention_days = 0\n[mask]\nleast_votes = 0\n[report]\nzone = 1")) == 4


@pytest.mark.parametrize(
    ("shared", "line"),
    [
        ("[mask]\nenter_scor = 1", "key mask.enter_scor: unknown; did you mean enter_score?"),
        ("[mask]\nenter_score = 2", "key mask.enter_score = 2: must be less than or equal to 1"),
        ("[defaults]\nfps = 0", "key defaults.fps = 0: must be greater than or equal to 0.5"),
        ("[mask]\nleave_score = 0.9", "table [mask]: leave_score = 0.9 must not be above enter_score = 0.75; lower it"),
        ("[attention]\nup_degrees = 99", "key attention.up_degrees = 99: must be less than or equal to 90"),
        ("[drowsiness]\nnod = 1", "key drowsiness.nod: unknown; did you mean nods?"),
        ('[defaults]\nprofile = "cab"', "key defaults.profile = 'cab': must be 'entrance', 'classroom' or 'driver'"),
    ],
)
def test_what_cameras_share_is_told_once_where_it_stands(mistakes, shared, line):
    cameras = "".join(f'[camera.c{n}]\nsource = "file:///a"\n' for n in range(3))
    assert mistakes(f"{shared}\n{cameras}") == [line]


def test_a_camera_whose_own_key_breaks_what_it_shares_is_named(mistakes):
    lines = mistakes(f"{CAMERA}[camera.door.mask]\nenter_score = 0.5\n[defaults]\nfps = 10")
    assert lines[0].startswith("table [camera.door.mask]: leave_score = 0.55")


@pytest.mark.parametrize(
    "url",
    [
        "wiki/hall",
        "ftp://wiki/",
        "http://",
        "http:///hall",
        "http://a b/",
        "http://wiki:0/",
        "http://wiki:x/",
        "http://w/\\n",
        "https://h/%0d%0a",
        "https://h/%7F",
        "http://h:٨٠/",
    ],
)
def test_a_link_that_a_browser_cannot_open_is_refused(mistakes, url):
    (line,) = mistakes(f'[mqtt]\nconfiguration_url = "{url}"')
    assert line.startswith("key mqtt.configuration_url = ")
    assert line.endswith(': must be a whole address, such as "http://door.example.org:8080/"')


def test_seventeen_cameras_are_too_many(mistakes):
    text = "".join(f'[camera.c{n}]\nsource = "file:///a"\n' for n in range(17))
    assert mistakes(text) == ["table [camera]: at most 16 cameras on one device"]


def test_passwords_do_not_get_into_messages(mistakes):
    for source in ("rtsp://u:geheim@", "rtspp://u:geheim@host/x", "rtspp://u:ge/heim@host", "rtspp://u:p@geheim@host/"):
        (line,) = mistakes(f'[camera.door]\nsource = "{source}"')
        assert "heim" not in line


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("rtsp://user:pass@host:554/a", "rtsp://***@host:554/a"),
        ("rtsp://user:p@ss/word@host/a", "rtsp://***@host/a"),
        ("rtsp://host/a", "rtsp://host/a"),
        ("file:///srv/a@b.mp4", "file:///srv/a@b.mp4"),
    ],
)
def test_a_source_is_shown_without_its_password(uri, shown):
    assert redact(uri) == shown


# --- files


def test_a_file_that_is_not_there_says_how_to_name_one(tmp_path):
    with pytest.raises(
        ConfigError, match=r"none\.toml: cannot be read \(No such file or directory\); name the file wi"
    ):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


@contextmanager
def unprivileged():
    """As a user who may read nothing that root has closed."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_a_file_of_root_and_its_group_says_who_may_read_it(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    file = tmp_path / "closed" / "edged.toml"
    with unprivileged(), pytest.raises(ConfigError, match=r"Permission denied\); use sudo, or join the group edged"):
        load_config(file)
    with unprivileged(), pytest.raises(Unavailable, match=r"Permission denied\); use sudo, or join the group edged"):
        ask(socket_path(file))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xfe[mask]", "not valid TOML: is UTF-16 text; in the editor, choose the encoding UTF-8"),
        ("[mask]\r\n".encode("utf-16"), "not valid TOML: is UTF-16 text; in the editor, choose the encoding UTF-8"),
        ("[mask]\r\n".encode("utf-16-le"), "not valid TOML: is UTF-16 text; in the editor, choose the encoding UTF-8"),
        (b"[mask]\n# f\xfcr", "not valid TOML: byte 10 is not UTF-8 text; in the editor, choose the encoding UTF-8"),
        (
            b"{\\rtf1\\ansi [mask]}",
            "not valid TOML: is no plain text but a document or a web page; save it from a text",
        ),
        (b"PK\x03\x04\x14\x00\x06", "not valid TOML: is no plain text but a document or a web page"),
        (b"\n<!DOCTYPE html>", "not valid TOML: is no plain text but a document or a web page"),
        (b"\x00" * 900, "not valid TOML: holds nothing but zeros, as a file that was not written to its end"),
        (
            b"[mask",
            "not valid TOML: Expected ']' at the end of a table declaration (at end of document); the file ends too",
        ),
        (b"[mask\n", "not valid TOML: "),
        (b"a = 1\na = 2", "not valid TOML: Cannot overwrite a value"),
        (b"a = " + b"[" * 5000, "not valid TOML: nested too deep"),
        (b"[store]\nretention_days = " + b"9" * 5000, "not valid TOML: a number of thousands of digits"),
        (b"[store]\nretention_days = 0x" + b"f" * 9000, "key store.retention_days = …: must be less"),
        (b"[report]\nsite" + b".a" * 7 + b" = 1", "table [report.site]: must be text in quotes"),
        (b"a" + b".a" * 10_000 + b" = 1", "not valid TOML: a key of more than 8 parts (a.a.a."),
        (b"[a" + b" . 'b.c'" * 10_000 + b"]", "not valid TOML: a key of more than 8 parts"),
        (b'x = {"a"' + b'."a"' * 10_000 + b" = 1}", "not valid TOML: a key of more than 8 parts"),
        (b"[report]\nsite = " + b"[" * 150 + b"]" * 150, "key report.site = [[[["),
        (b"#" * (MAX_TOML_BYTES + 1), f"not valid TOML: larger than {MAX_TOML_BYTES} bytes"),
        (b"\x00", "not valid TOML: "),
    ],
)
def test_a_damaged_hostile_or_huge_file_is_one_line(mistakes, data, told):
    (line,) = mistakes(data)
    assert line.startswith(told)
    assert len(line) < 400


@pytest.mark.parametrize("data", [b"a" + b".a" * 10_000 + b" = 1", b'"""' * 80_001, b"a." * 100_000])
def test_a_hostile_file_costs_little_memory(tmp_path, data):
    """A parser of dotted keys takes 640 MB for 20 KB."""
    path = tmp_path / "edged.toml"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"key of more|Expected"):
            load_toml(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_dots_in_texts_and_comments_are_no_deep_keys(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(
        "# a.b.c.d.e.f.g.h.i.j = 1\nx = \"a.b.c.d.e.f.g.h.i.j\"\ny = 'a.b.c.d.e.f.g.h.i.j'\n"
        'z = """\na.b.c.d.e.f.g.h.i.j = 1\n\\""" """\na.b.c.d.e.f.g.h = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5]'
    )
    assert load_toml(path)["a"]["b"]["c"]["d"]["e"]["f"]["g"]["h"][8] == 8.5


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_what_windows_editors_write_is_read(tmp_path, mark, ending):
    path = tmp_path / "edged.toml"
    path.write_bytes(mark + ending.join([b"[camera.door]", b'source = "rtsp://h/x"', b"fps = 5", b""]))
    assert load_config(path).camera["door"].fps == 5


def test_the_file_is_the_given_one_then_the_environments_then_the_systems(monkeypatch):
    monkeypatch.setenv("EDGED_CONFIG", "/tmp/other.toml")
    assert config_path(Path("mine.toml")) == Path("mine.toml")
    assert config_path() == Path("/tmp/other.toml")
    monkeypatch.delenv("EDGED_CONFIG")
    assert config_path() == Path("/etc/edged/edged.toml")


# --- what is merged


def test_an_empty_file_is_all_defaults(loaded):
    assert loaded("") == Config()


def test_defaults_and_mask_lie_under_each_cameras_own_keys(loaded):
    config = loaded(
        "[defaults]\nfps = 5\nrotation = 90\n[mask]\nsmallest_face = 30\ncooldown_seconds = 60\n"
        + '[camera.a]\nsource = "file:///a"\nfps = 8\n[camera.a.mask]\nsmallest_face = 50\n'
        + '[camera.b]\nsource = "file:///b"\n'
    )
    a, b = config.camera["a"], config.camera["b"]
    assert (a.fps, a.rotation, a.mask.smallest_face, a.mask.cooldown_seconds) == (8, 90, 50, 60)
    assert (b.fps, b.rotation, b.mask) == (5, 90, config.mask)
    assert config.mask.enter_score == MaskConfig().enter_score


def test_attention_and_drowsiness_lie_under_each_cameras_own_keys_too(loaded):
    config = loaded(
        "[attention]\nyaw_degrees = 30\n[drowsiness]\nyawns = 2\nnods = 4\n"
        + CAMERA
        + "[camera.door.attention]\nlong_seconds = 5\n[camera.door.drowsiness]\nyawns = 9\n"
    )
    door = config.camera["door"]
    assert (door.attention.yaw_degrees, door.attention.long_seconds) == (30, 5)
    assert (door.drowsiness.yawns, door.drowsiness.nods) == (9, 4)
    assert (config.attention.long_seconds, config.drowsiness.yawns) == (3, 2)


@pytest.mark.parametrize(
    ("profile", "tasks"),
    [
        ("entrance", Tasks(mask=True, attention=False, drowsiness=False)),
        ("classroom", Tasks(mask=True, attention=True, drowsiness=False)),
        ("driver", Tasks(mask=False, attention=True, drowsiness=True, one_person=True)),
    ],
)
def test_the_profile_says_what_faces_are_asked(loaded, profile, tasks):
    assert loaded(f'{CAMERA}profile = "{profile}"').camera["door"].tasks == tasks
    assert loaded(f'{CAMERA}[defaults]\nprofile = "{profile}"').camera["door"].tasks == tasks


def test_an_entrance_asks_nothing_else_unless_told_to(loaded):
    assert loaded(CAMERA).camera["door"].tasks == Tasks(mask=True, attention=False, drowsiness=False)


def test_enabled_has_the_last_word_for_all_cameras_or_for_one(loaded):
    config = loaded(
        '[attention]\nenabled = true\n[camera.a]\nsource = "file:///a"\n[camera.a.mask]\nenabled = false\n'
        '[camera.b]\nsource = "file:///b"\nprofile = "driver"\n[camera.b.attention]\nenabled = false\n'
        "[camera.b.mask]\nenabled = true\n"
    )
    assert config.camera["a"].tasks == Tasks(mask=False, attention=True, drowsiness=False)
    assert config.camera["b"].tasks == Tasks(mask=True, attention=False, drowsiness=True, one_person=True)


def test_only_attention_and_drowsiness_need_landmarks():
    assert not Tasks(mask=True, attention=False, drowsiness=False).landmarks
    assert Tasks(mask=False, attention=True, drowsiness=False).landmarks
    assert Tasks(mask=False, attention=False, drowsiness=True).landmarks


def test_the_port_follows_tls(loaded):
    assert loaded('[mqtt]\nhost = "h"').mqtt.effective_port == 1883
    assert loaded('[mqtt]\nhost = "h"\ntls = true').mqtt.effective_port == 8883
    assert loaded('[mqtt]\nhost = "h"\ntls = true\nport = 1').mqtt.effective_port == 1


def test_a_source_is_taken_apart():
    source = parse_source("v4l2:///dev/v4l/by-id/x?width=640&fps=15")
    assert (source.scheme, source.path, source.options) == ("v4l2", "/dev/v4l/by-id/x", {"width": 640, "fps": 15})


# --- the shipped files


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path):
    config = load_config(path)
    if path.name != "edged.toml":
        assert config.camera
        assert config.report.timezone != "UTC"


def test_the_commented_config_is_the_defaults():
    assert load_config(CONFIG / "edged.toml") == Config()


def test_the_classroom_and_the_driver_have_their_profiles_and_say_what_they_are_not():
    (room,) = load_config(CONFIG / "classroom.toml").camera.values()
    (cab,) = load_config(CONFIG / "driver.toml").camera.values()
    assert (room.profile, room.tasks) == ("classroom", Tasks(mask=False, attention=True, drowsiness=False))
    assert (cab.profile, cab.tasks) == ("driver", Tasks(mask=False, attention=True, drowsiness=True, one_person=True))
    for name in ("edged.toml", "driver.toml"):
        text = " ".join((CONFIG / name).read_text().replace("\n#", " ").split())
        assert "not a medical device" in text
        assert "no type-approved driver monitoring" in text
        assert "reads no emotions" in text
    assert "reads no emotions" in (CONFIG / "classroom.toml").read_text()


def uncommented():
    """The commented config with every key taken in."""
    lines = (CONFIG / "edged.toml").read_text().splitlines()
    return "\n".join(re.sub(r"^#(?=\[|[a-z_]+ = )", "", line) for line in lines)


def test_the_commented_config_mentions_every_key_with_its_default(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(uncommented())
    raw = load_toml(path)
    # The only default that the example certificates do not go with.
    path.write_text(uncommented().replace("tls = false", "tls = true"))
    load_config(path)
    for section, model in SECTIONS.items():
        assert_complete(section, raw[section], model)
    assert_complete("camera.door", raw["camera"]["door"], CameraConfig)
    for name, model in OUTPUTS_SHOWN.items():
        assert_complete(f"output.{name}", raw["output"][name], model)


def assert_complete(name: str, table: dict, model: type[BaseModel]):
    """Each key of the model is mentioned, and shows its default where it has one worth showing."""
    assert set(table) == set(model.model_fields), name
    for key, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if not field.is_required() and default is not None and not isinstance(default, BaseModel):
            needed = {name for name, field in model.model_fields.items() if field.is_required()}
            alone = {name: table[name] for name in {*needed, "chip", key} & set(table)}
            assert getattr(model.model_validate(alone), key) == default, f"{name}.{key}"


def limits_of(table: str, model: type[BaseModel]) -> dict[str, object]:
    """Default, and what bounds the value, of each key, in the words of JSON Schema."""
    words = ("default", "minimum", "exclusiveMinimum", "maximum", "minLength", "maxLength", "pattern", "enum", "items")
    found: dict[str, object] = {}
    for key, schema in model.model_json_schema()["properties"].items():
        kinds = [schema, *schema.get("anyOf", ())]
        told = {word: kind[word] for kind in kinds for word in words if word in kind}
        found[f"{table}.{key}"] = {
            word: sorted(v) if word == "default" and isinstance(v, list) else v for word, v in told.items()
        }
    return found


def test_limits_and_defaults_are_those_that_people_rely_on():
    """Whoever changes one changes what files are valid, or what devices do that never set it: the fixture says so too."""
    outputs = {f"output.{name}": model for name, model in OUTPUTS_SHOWN.items()}
    models = {"camera": CameraConfig, **SECTIONS, **outputs}
    found = {key: limits for table, model in models.items() for key, limits in limits_of(table, model).items()}
    for part in ("mask", "attention", "drowsiness"):
        del found[f"camera.{part}"]
    assert found == json.loads((Path(__file__).parent / "fixtures/config_limits.json").read_text())


@pytest.mark.parametrize(
    ("table", "key"), [("mask", "violations"), ("attention", "distractions"), ("drowsiness", "reasons")]
)
def test_sets_are_written_in_one_order_whatever_the_run(table, key):
    """The hash of the settings must be the same on two devices that are set up alike."""
    written = Config().model_dump(mode="json")[table][key]
    assert written == sorted(written)


@pytest.mark.parametrize(
    ("fps", "untold"), [(5, []), (4.9, ["drowsiness"]), (2, ["drowsiness"]), (1.9, ["attention", "drowsiness"])]
)
def test_what_a_slow_camera_cannot_tell_is_named(fps, untold):
    assert Tasks(mask=True, attention=True, drowsiness=True).lost_at(fps) == untold
    assert Tasks(mask=True, attention=False, drowsiness=False).lost_at(fps) == []


def test_every_key_has_a_line_for_a_person():
    lines = uncommented().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z_]+ = ", line):
            above = lines[number - 1]
            assert above.startswith("# ") or re.match(r"[a-z_]+ = ", above), line


@pytest.mark.parametrize("table", ["", "[report]\n", "[defaults]\n", CAMERA])
def test_a_file_of_ten_thousand_wrong_keys_tells_the_first_twenty(mistakes, table):
    lines = mistakes(table + "".join(f"k{n} = 1\n" for n in range(10_000)))
    assert len(lines) == 21
    assert lines[-1] == "and more; correct these first"


@pytest.mark.parametrize(("length", "told"), [(80, "a" * 80), (81, "a" * 77 + "…")])
def test_a_long_key_is_cut(mistakes, length, told):
    assert mistakes(f"{'a' * length} = 1")[0].startswith(f"key {told}: unknown")


@pytest.mark.parametrize(("length", "told"), [(78, "'" + "x" * 78 + "'"), (79, "'" + "x" * 76 + "…")])
def test_a_long_value_is_cut(mistakes, length, told):
    assert mistakes(f'[models]\ndetector = "{"x" * length}"')[0].startswith(f"key models.detector = {told}: ")


def test_a_shared_key_is_told_where_it_stands_although_the_camera_has_another_of_the_table(mistakes):
    (line,) = mistakes("[mask]\nenter_score = 2\n" + CAMERA + "[camera.door.mask]\nleast_votes = 5")
    assert line.startswith("key mask.enter_score = 2: ")


def test_a_key_of_odd_characters_is_told_on_one_line(mistakes):
    (line,) = mistakes('"a\\nb\\u001b" = 1')
    assert line.startswith("key 'a\\nb\\x1b': unknown; ")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("source = rtsp://192.168.1.20/stream", 'text stands in quotes, as in source = "rtsp://192.168.1.20/stream"'),
        ("source = “v4l2:///dev/video0”", 'quotes are straight, as in source = "v4l2:///dev/video0"'),
        ("reset = True", "true and false are written in lower case, as in reset = true"),
        ("reset = yes", "true and false are written in lower case, as in reset = true"),
        ("fps = 7,5", "decimals stand behind a point, as in fps = 7.5"),
        ("fps = 10 %", "a number stands alone, as in fps = 10"),
        ("fps: 10", "between key and value stands =, as in fps = 10"),
        ("[camera side]", "with dots between its parts, as in [camera.side]"),
        ("// fps", "a comment begins with #, as in # fps"),
        ('name = "Door\nfps = 3', 'the quote at the end is missing, as in name = "Door"'),
        ("name = Main entrance", 'text stands in quotes, as in name = "Main entrance"'),
        ('name = "the "old" door"', "as in name = 'the \"old\" door'"),
        (r'name = "a\door"', r"as in name = 'a\door'"),
        ('name = "Anna\'s \\door"', 'as in name = "Anna\'s \\\\door"'),
        ("name = 'Anna's door'", 'as in name = "Anna\'s door"'),
        (r'timezone = "Europe\Madrid"', 'a backslash is written as /, as in timezone = "Europe/Madrid"'),
        ('to = "10.0.0.1", "10.0.0.2"', 'several values stand in brackets, as in to = ["10.0.0.1", "10.0.0.2"]'),
        ("[camera.front door]", "as in [camera.front-door]"),
        ("[camera.Tür]", "as in [camera.Tur]"),
        ("\u00a0\u00a0fps = 5", "a blank in this line is no ordinary space, as copied from a web page; type the line anew, "
         "as in fps = 5"),
        ("\u200bfps = 5", "a blank in this line is no ordinary space, as copied from a web page; type the line anew"),
        ("fps = 5\nfps = 6", "this key stands twice in its table; take one of them out"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_toml_is_shown_with_its_number_and_its_right_spelling(numbered, text, right):
    (line,) = numbered(f"# the hall\n[camera.door]\n{text}\n")
    assert "not valid TOML: " in line
    assert re.search(r"\(at line [34], column ", line)
    assert line.endswith(right)


@pytest.mark.parametrize(
    "text", ["password = hunter2", "source = rtsp://admin:hunter2@10.0.0.2/1", "mqtt_psk = hunter2"]
)
def test_a_line_that_may_hold_a_secret_is_not_repeated(numbered, text):
    (line,) = numbered(text)
    assert "hunter2" not in line
    assert line.endswith("text stands in quotes")


@pytest.mark.parametrize("password", [r"hunter2\door", 'hunter2"door', '"hunter2"'])
def test_a_password_of_odd_characters_is_told_how_it_is_written_and_not_another_password(numbered, password):
    (line,) = numbered(f'[mqtt]\npassword = "{password}"')
    assert "hunter2" not in line
    assert line.endswith("stands between single quotes: '…'; where it holds ' too, write \\\" and \\\\")


@pytest.mark.parametrize(
    ("second", "remedy"),
    [
        ("[camera.door]", "give the second camera a name of its own, as in [camera.door2]"),
        ("[ssh]\n[ssh]", "each has two brackets, as in [[ssh]]"),
        ("[ssh]\n[[ssh]]", "each has two brackets, as in [[ssh]]"),
    ],
)
def test_a_table_that_stands_twice_is_told_with_what_was_meant(numbered, second, remedy):
    (line,) = numbered(f'{CAMERA}\n{second}\nsource = "picamera://0"')
    assert remedy in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('# the hall\n[Camera.Door]\nsource = "picamera://0"', 2),
        (CAMERA + '\n[camera."a b"]\nsource = "picamera://0"', 4),
        ("[mqtt.Host]\nname = 1", 1),
    ],
)
def test_the_line_is_told_of_a_name_in_capitals_or_with_a_blank(numbered, text, line):
    assert numbered(text)[0].endswith(f"(line {line})")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (
            'source = "/dev/video0"',
            "source = '/dev/video0': a camera on this machine is written v4l2:///dev/video0 (line 2)",
        ),
        (
            'source = "/srv/a.mp4"',
            "a recording is written file:///srv/a.mp4, a folder of pictures images:///srv/a.mp4 (line 2)",
        ),
        ('source = "192.168.1.20/s"', "a network camera is written rtsp://192.168.1.20/s (line 2)"),
        ('source = "http://10.0.0.2/video"', "pictures over http are not read; most such cameras also speak rtsp"),
        ("source = 0", "source = 0: must be text in quotes (line 2)"),
        (
            'source = "picamera://0"\n' + "flip = true",
            'flip = true: must be one of "none", "horizontal", "vertical", not true (line 3)',
        ),
        (
            'source = "picamera://0"\n' + "region = [0, 0, 640, 480]",
            "must be shares of the picture from 0 to 1: left, top, right, bottom",
        ),
        ('source = "picamera://0"\n' + '[mqtt]\nhost = ""', "host = '': must not be empty; leave the key out"),
        (
            'source = "picamera://0"\n' + '[report]\nopen_from = "20:00"\nopen_until = "06:00"',
            "for a night leave both out",
        ),
    ],
)
def test_what_beginners_write_is_answered_with_what_they_meant(numbered, text, right):
    assert any(right in line for line in numbered(f"[camera.door]\n{text}\n"))


def test_a_camera_without_a_name_of_its_own_is_told_how_its_table_is_called(numbered):
    (line,) = numbered('[camera]\nsource = "picamera://0"\n')
    assert "key camera.source = " in line
    assert line.endswith("a camera's table has a name of its own, as in [camera.door] (line 2)")


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (
            "[report]\ntarget_percent = 0.9",
            "key report.target_percent = 0.9: is 0.9 of 100 percent; for 90 % write that number",
        ),
        (
            '[mqtt]\nhost = "b"\nport = 8883',
            "key mqtt.port = 8883: is the port of encrypted connections; write tls = true",
        ),
        ('[mqtt]\nhost = "b"\nport = 1883\ntls = true', "key mqtt.port = 1883: is the port of connections without TLS"),
        ("[mqtt]\nport = 1884", "table [mqtt]: has no host, so that nothing is published"),
        (
            '[camera.a]\nsource = "v4l2:///dev/video0"\n[camera.b]\nsource = "v4l2:///dev/video0?fps=15"',
            "cameras a, b: share the source v4l2:///dev/video0, and count each person 2 times",
        ),
        ("[report]\ntarget_percent = 90", None),
        ('[mqtt]\nhost = "b"\nport = 8883\ntls = true', None),
        ('[camera.a]\nsource = "csi://0"\n[camera.b]\nsource = "csi://1"', None),
        ('[camera.a]\nsource = "file:///a.mp4"\n[camera.b]\nsource = "file:///a.mp4"', None),
    ],
)
def test_what_is_valid_and_surely_not_meant_is_doubted(tmp_path, text, doubt):
    path = tmp_path / "edged.toml"
    path.write_text(text)
    config = load_config(path)
    lines = list(doubts(config))
    assert len(lines) == (doubt is not None)
    assert all(line.startswith(doubt) for line in lines)


FACE_METRES = 0.15
UNKNOWN_WIDTH = 1280
"""What docs/mount.md computes with: how wide a face is, and a picture whose source does not say."""


@pytest.mark.parametrize("name", ["entrance-pi", "entrance-jetson", "classroom", "driver"])
def test_the_smallest_faces_of_a_shipped_config_fit_the_distance_that_it_names(name):
    """By the formula of docs/mount.md: who stands as far away as the comment says is found, and judged."""
    path = CONFIG / f"{name}.toml"
    config, text = load_config(path), path.read_text()
    (said,) = re.findall(r"a face ([\d.]+) m away is (\d+) pixels wide", text, re.IGNORECASE)
    metres, pixels = float(said[0]), int(said[1])
    for camera in config.camera.values():
        width = parse_source(camera.source).options.get("width", UNKNOWN_WIDTH)
        half = math.tan(math.radians(camera.field_of_view) / 2)
        assert pixels == int(FACE_METRES * width / (2 * metres * half))
        asked = [part for part in ("mask", "attention", "drowsiness") if getattr(camera.tasks, part)]
        needed = {part: getattr(camera, part).smallest_face for part in asked}
        needed["found"] = camera.smallest_face or config.models.smallest_face
        assert {part: size for part, size in needed.items() if size > pixels} == {}


def test_doctor_and_check_tell_of_the_same_doubts(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(f'{CAMERA}[report]\ntarget_percent = 0.9\n[store]\npath = "{tmp_path}/e.db"\n')
    config = load_config(path)
    (doubt,) = doubts(config)
    _board, first = itertools.islice(examine(config), 2)
    assert (first.what, first.verdict, first.line) == ("config", "warning", doubt)
    done = CliRunner().invoke(cli, ["config", "check", "--config", str(path)])
    assert done.exit_code == 0
    assert f"warning: {doubt}" in done.stderr


def test_one_device_with_two_regions_is_no_mistake(tmp_path):
    left, right = "region = [0, 0, 0.5, 1]", "region = [0.5, 0, 1, 1]"
    file = tmp_path / "edged.toml"
    tables = [f'[camera.{name}]\nsource = "rtsp://10.0.0.5/live"\n' for name in ("a", "b")]
    file.write_text("".join(tables))
    assert any("share the source" in doubt for doubt in doubts(load_config(file)))
    file.write_text(f"{tables[0]}{left}\n{tables[1]}{right}\n")
    assert not any("share the source" in doubt for doubt in doubts(load_config(file)))
