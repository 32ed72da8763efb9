"""First boot: one file on a partition sets up a box, whole or not at all, and nothing on a stick can harm it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edged.config import load_config
from edged.config.load import STICK_ONLY
from edged.firstboot.countries import COUNTRIES, WRITTEN_OTHERWISE
from edged.firstboot.place import APPLIED, ERROR
from edged.firstboot.run import SEEN, import_settings, introduce
from edged.firstboot.settings import OnlyHere
from edged.firstboot.together import JOURNAL
from edged.firstboot.write import CONFIG, CONNECTION, FOLDER, LOCALTIME, SSH_KEYS, WIRELESS
from edged.toml import load_toml

CUT_OFF = Path(__file__).parent / "support" / "cut_off.py"
BEFORE = FOLDER / "edged.toml.before"
PASSWORD = FOLDER / "mqtt-password"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhK3vNuP0Wq0CkFq4yq8dVjz5Rk7Jb0wq2fX6mZ1abc me@laptop"
GOOD = f"""
[device]
name = "Front door"

[camera.door]
source = "rtsp://192.168.1.20:554/stream1"

[mqtt]
host = "192.168.1.10"
username = "edged"
password = "br0ker-s3cret"

[report]
timezone = "Europe/Madrid"

[network]
wifi = "Café; psk=stolen"
password = " w1fi\\\\s3cret"
country = "ES"
address = "192.168.1.30/24"
gateway = "192.168.1.1"
dns = ["192.168.1.1"]

[[ssh]]
key = "{KEY}"
"""
SHIPPED = "# the shipped config\n"
MISTAKE_IN_LINE_7 = GOOD.replace('source = "rtsp:', 'sorce = "rtsp:')


@pytest.fixture
def root(tmp_path):
    """What a fresh box has."""
    root = tmp_path / "root"
    for folder in ("etc/edged", "root"):
        (root / folder).mkdir(parents=True)
    (root / CONFIG).write_text(SHIPPED)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "etc/hostname").write_text("edged\n")
    return root


@pytest.fixture
def stick(tmp_path):
    (tmp_path / "stick").mkdir()
    return tmp_path / "stick"


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_good_file_sets_up_everything(root, stick):
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    config = load_config(root / CONFIG)
    assert (config.device.name, list(config.camera), config.report.timezone) == (
        "Front door",
        ["door"],
        "Europe/Madrid",
    )
    assert str(config.mqtt.password_file) == "/etc/edged/mqtt-password"
    assert (root / PASSWORD).read_text() == "br0ker-s3cret\n"
    assert (root / SSH_KEYS).read_text() == f"{KEY}\n"
    assert str((root / LOCALTIME).readlink()) == "/usr/share/zoneinfo/Europe/Madrid"
    assert "ieee80211_regdom=ES" in (root / WIRELESS).read_text()
    assert {path: mode(root / path) for path in (CONFIG, PASSWORD, CONNECTION, SSH_KEYS)} == {
        CONFIG: 0o640,
        PASSWORD: 0o640,
        CONNECTION: 0o600,
        SSH_KEYS: 0o600,
    }


def test_a_network_s_name_is_no_setting_and_its_password_stays_whole(root, stick):
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    lines = (root / CONNECTION).read_text().splitlines()
    assert "ssid=" + "".join(f"{byte};" for byte in "Café; psk=stolen".encode()) in lines
    assert [line for line in lines if line.startswith("psk")] == ["psk=\\sw1fi\\\\s3cret"]
    assert {"method=manual", "address1=192.168.1.30/24,192.168.1.1", "dns=192.168.1.1;"} <= set(lines)


def test_what_was_applied_stays_without_its_secrets(root, stick):
    (stick / "edged.toml").write_text(GOOD.replace("rtsp://", "rtsp://me:c4m-s3cret@"))
    (stick / ERROR).write_text("of the time before")
    assert import_settings([stick], root)
    assert sorted(path.name for path in stick.iterdir()) == [APPLIED]
    told = (stick / APPLIED).read_text()
    assert "s3cret" not in told
    assert "192.168.1.10" in told
    assert load_toml(stick / APPLIED)["mqtt"]["password"] == "***"  # noqa: S105


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("edged.toml", GOOD.replace("\n", "\r\n").encode("utf-8-sig")),
        ("edged.toml.txt", GOOD.encode()),
        ("edged.toml.txt", GOOD.replace("\n", "\r\n").encode("utf-8-sig")),
    ],
)
def test_editors_of_other_systems_do_no_harm(root, stick, name, data):
    (stick / name).write_bytes(data)
    assert import_settings([stick], root)
    assert load_config(root / CONFIG).camera
    assert (stick / APPLIED).exists()


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (MISTAKE_IN_LINE_7[1:], "line 5: ", "source"),
        (GOOD[1:].replace('name = "Front door"', 'name = "Front door'), "line 2: ", "Illegal"),
        (GOOD[1:].replace('country = "ES"', 'country = "Spain"'), "line 18: ", "ES"),
        (GOOD[1:].replace('country = "ES"', ""), "line 15: ", "country"),
        (GOOD[1:].replace("/24", ""), "line 19: ", "192.168.1.20/24"),
        (GOOD[1:].replace("br0ker-s3cret", ""), "line 10: ", "password"),
        (GOOD[1:] + "[network.run]\ncommand = 'reboot'\n", "line 25: ", "unknown"),
        (GOOD[1:].replace("ssh-ed25519 ", 'command=\\"reboot\\" ssh-ed25519 '), "line 24: ", ".pub"),
        (GOOD[1:] + "[run]\ncommand = 'reboot'\n", "line 25: ", "unknown"),
        (GOOD[1:].replace("Europe/Madrid", "../../etc/shadow"), "line 13: ", "zone"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_nothing_is_taken(root, stick, text, line, word):
    (stick / "edged.toml").write_text(text)
    before = files(root)
    assert not import_settings([stick], root)
    assert files(root) == before
    told = (stick / ERROR).read_text()
    assert line in told
    assert word in told
    assert "s3cret" not in told
    assert (stick / "edged.toml").read_text() == text


@pytest.mark.parametrize(
    ("right", "written", "line"),
    [
        (
            '"ES"',
            '"UK"',
            'line 18: key network.country: must be the two capital letters of a country (ISO 3166), such as "ES"; '
            'did you mean "GB"?',
        ),
        (
            '"ES"',
            '"es"',
            'line 18: key network.country: must be the two capital letters of a country (ISO 3166), such as "ES"; '
            'did you mean "ES"?',
        ),
        (
            '"ES"',
            '"XX"',
            'line 18: key network.country: must be the two capital letters of a country (ISO 3166), such as "ES"',
        ),
        ("wifi =", "ssid =", "line 16: key network.ssid: unknown; did you mean wifi?"),
        ("wifi =", "WiFi =", "line 16: key network.WiFi: unknown; did you mean wifi?"),
        ("[network]", "[Network]", "line 15: key Network: unknown; did you mean network?"),
        ("[network]", "[wifi]", "line 15: key wifi: unknown; it stands in [network]"),
        ("[mqtt]", "[MQTT]", "line 7: key MQTT: unknown; did you mean mqtt?"),
        ("[camera.door]", "[Camera.Door]", "line 4: key Camera: unknown; did you mean camera?"),
        ("[[ssh]]", "[ssh]", "line 23: key ssh: is written with two brackets, [[ssh]]"),
        (
            '["192.168.1.1"]',
            '"192.168.1.1"',
            'line 21: key network.dns: must be a list in brackets, as in ["…"]; one alone stands in brackets too',
        ),
        (
            '["192.168.1.1"]',
            '["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]',
            "line 21: key network.dns: takes 3 of them at most",
        ),
        ('["192.168.1.1"]', '["dns.example"]', "line 21: key network.dns: must be an address alone, as in 192.168.1.1"),
        (
            "30/24",
            "300/24",
            "line 19: key network.address: must be an address with the network's length, as in 192.168.1.20/24",
        ),
        (
            "30/24",
            "0/24",
            "line 19: key network.address: 192.168.1.0 stands for the whole network 192.168.1.0/24; take an address of "
            "a single machine",
        ),
        (
            "30/24",
            "1/24",
            "line 15: key network: address and gateway are both 192.168.1.1, the router's; give the box another "
            "address",
        ),
        (
            'y = "192.168.1.1"',
            'y = "192.168.2.1"',
            "line 15: key network: gateway 192.168.2.1 is not in the network of address "
            "192.168.1.30/24; correct one of them",
        ),
        (
            'y = "192.168.1.1"',
            'y = "fritz.box"',
            "line 20: key network.gateway: must be an address alone, as in 192.168.1.1",
        ),
        (
            "Europe/Madrid",
            "Madrid",
            "line 13: key report.timezone = 'Madrid': not an IANA time zone; names look like Europe/Madrid or "
            "America/New_York; did you mean Europe/Madrid?",
        ),
        ('"br0ker-s3cret"', "12345678", "line 10: key mqtt.password: must be text in quotes"),
        (
            "br0ker-",
            "br0ker\\n",
            "line 10: key mqtt.password: holds a line break or another control character; a backslash is written "
            "\\\\, or the text stands between single quotes",
        ),
        ('username = "edged"\n', "", "line 7: table [mqtt]: password needs username"),
        (" w1fi\\\\s3cret", "s3cr", "line 17: key network.password: must be 8 characters at least"),
        (
            " w1fi\\\\s3cret",
            "Müller-s3cret",
            "line 17: key network.password: must be 8 to 63 letters, digits and signs, without umlauts "
            "or accents; a backslash is written \\\\, or the text stands between single quotes",
        ),
        (
            "ssh-ed25519 ",
            "-----BEGIN OPENSSH PRIVATE KEY----- ",
            'line 24: key ssh.0.key: must be one line of a .pub file, such as "ssh-ed25519 AAAA… me@laptop"',
        ),
        (
            "rtsp://192.168.1.20:554",
            "rtsp://<camera>",
            "line 5: key camera.door.source = 'rtsp://<camera>/stream1': the host must be the "
            "camera's name or address, as in rtsp://192.168.1.20/path",
        ),
    ],
)
def test_a_beginner_s_mistake_is_one_line_that_says_what_to_write(root, stick, right, written, line):
    assert right in GOOD[1:]
    (stick / "edged.toml").write_text(GOOD[1:].replace(right, written))
    assert not import_settings([stick], root)
    assert (stick / ERROR).read_text().splitlines()[1:] == [line]


@pytest.mark.parametrize(
    ("address", "gateway"),
    [("10.1.2.3/32", "10.0.0.1"), ("10.0.0.0/31", "10.0.0.1"), ("fd00::5/64", "fe80::1"), ("fd00::/64", "fd00::1")],
)
def test_an_address_that_has_a_way_to_its_router_is_taken(root, stick, address, gateway):
    text = GOOD.replace("192.168.1.30/24", address).replace('gateway = "192.168.1.1"', f'gateway = "{gateway}"')
    (stick / "edged.toml").write_text(text)
    assert import_settings([stick], root)


def test_the_countries_are_those_of_the_system_s_list():
    listed = Path("/usr/share/zoneinfo/iso3166.tab")
    if not listed.exists():
        pytest.skip("this machine has no list of countries")
    lines = (line for line in listed.read_text().splitlines() if line and not line.startswith("#"))
    assert {line.split("\t")[0] for line in lines} <= COUNTRIES
    assert set(WRITTEN_OTHERWISE.values()) <= COUNTRIES


def test_the_tables_that_only_a_stick_has_are_those_that_the_config_sends_there():
    assert set(STICK_ONLY) == set(OnlyHere.model_fields)


def test_whoever_calls_it_by_hand_is_told_what_it_is_and_nothing_is_done():
    done = subprocess.run(
        [sys.executable, "-m", "edged.firstboot", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("edged.firstboot takes no arguments, and nothing was done: ")
    assert len(done.stderr.splitlines()) == 1


def test_two_mistakes_are_told_at_once(root, stick):
    (stick / "edged.toml").write_text(MISTAKE_IN_LINE_7.replace('"ES"', '"Spain"'))
    assert not import_settings([stick], root)
    told = (stick / ERROR).read_text()
    assert "sorce" in told
    assert "network.country" in told


@pytest.mark.parametrize("data", [b"", b"# the settings follow\n", b"\xef\xbb\xbf\r\n"])
def test_a_file_that_was_never_written_wipes_nothing(root, stick, data):
    (root / CONFIG).write_text(GOOD)
    before = files(root)
    (stick / "edged.toml").write_bytes(data)
    assert not import_settings([stick], root)
    assert files(root) == before
    assert sorted(path.name for path in stick.iterdir()) == [ERROR, "edged.toml"]
    assert "holds no settings" in (stick / ERROR).read_text()


def test_the_config_that_is_replaced_is_kept(root, stick):
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert (root / BEFORE).read_text() == SHIPPED
    assert mode(root / BEFORE) == 0o640
    first = (root / CONFIG).read_bytes()
    (stick / "edged.toml").write_text(GOOD.partition("[mqtt]")[0])
    assert import_settings([stick], root)
    assert (root / BEFORE).read_bytes() == first


def test_a_mended_file_is_taken(root, stick):
    (stick / "edged.toml").write_text(MISTAKE_IN_LINE_7)
    assert not import_settings([stick], root)
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert not (stick / ERROR).exists()


def huge(path, tmp_path):
    path.write_bytes(b"#" * 3_000_000)


def binary(path, tmp_path):
    path.write_bytes(bytes(range(256)))


def link(path, tmp_path):
    (tmp_path / "elsewhere").write_text(GOOD)
    path.symlink_to(tmp_path / "elsewhere")


def link_upwards(path, tmp_path):
    path.symlink_to("../../../etc/shadow")


def pipe(path, tmp_path):
    os.mkfifo(path)


def folder(path, tmp_path):
    path.mkdir()


def deep(path, tmp_path):
    path.write_text("a = " + "[" * 100_000)


@pytest.mark.parametrize("lay", [huge, binary, link, link_upwards, pipe, folder, deep], ids=lambda lay: lay.__name__)
def test_what_is_no_file_of_settings_is_told_in_one_line(root, stick, tmp_path, lay):
    lay(stick / "edged.toml", tmp_path)
    before = files(root)
    assert not import_settings([stick], root)
    assert files(root) == before
    assert len((stick / ERROR).read_text().splitlines()) == 2


def test_a_link_in_the_place_of_what_is_left_is_not_followed(root, stick, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (stick / ERROR).symlink_to(victim)
    (stick / APPLIED).symlink_to(victim)
    (stick / "edged.toml").write_text(MISTAKE_IN_LINE_7)
    assert not import_settings([stick], root)
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert victim.read_text() == "precious"


def test_the_stick_goes_before_the_boot_partition_and_the_second_boot_does_nothing(root, stick, tmp_path):
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "edged.toml").write_text(GOOD.replace("Front door", "Of the card"))
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick, boot], root)
    before = files(root)
    assert not import_settings([stick, boot], root)
    assert files(root) == before
    assert load_config(root / CONFIG).device.name == "Front door"


def test_a_partition_that_takes_no_writing_is_read_once(root, stick, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("edged.firstboot.take.set_aside", refuse)
    monkeypatch.setattr("edged.firstboot.take.leave", refuse)
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    (root / CONFIG).write_text(SHIPPED)
    assert not import_settings([stick], root)
    (stick / "edged.toml").write_text(MISTAKE_IN_LINE_7)
    assert not import_settings([stick], root)


def test_a_box_that_cannot_write_stays_as_it_was(root, stick):
    (root / "etc/NetworkManager").write_text("in the way of a folder")
    (stick / "edged.toml").write_text(GOOD)
    before = files(root)
    assert not import_settings([stick], root)
    assert files(root) == before
    assert "nothing was changed" in (stick / ERROR).read_text()


def test_keys_are_added_to_those_that_are_there(root, stick):
    (root / SSH_KEYS).parent.mkdir()
    (root / SSH_KEYS).write_text("ssh-rsa AAAA before\n")
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert (root / SSH_KEYS).read_text() == f"ssh-rsa AAAA before\n{KEY}\n"


def test_a_box_says_who_it_is_and_keeps_a_name_that_a_person_gave(root, stick):
    name = introduce([stick], root)
    assert name.startswith("edged-")
    assert len(name) == len("edged-") + 4
    [card] = stick.glob("EDGED-*.txt")
    assert f"{name}.local" in card.read_text()
    (root / "etc/hostname").write_text("hall\n")
    assert introduce([stick], root) == "hall"


def test_the_name_holds_at_once():
    """In a namespace of its own: this machine keeps its name."""
    call = "import socket; from edged.firstboot.__main__ import call_it; call_it('edged-0123'); print(socket.gethostname())"
    done = subprocess.run(
        ["unshare", "--map-root-user", "--uts", sys.executable, "-c", call], capture_output=True, text=True, check=False
    )
    if done.stderr.startswith("unshare:"):
        pytest.skip(f"this machine gives no namespaces: {done.stderr.strip()}")
    assert done.stdout == "edged-0123\n"


def test_passwords_of_mail_and_webhook_go_into_files_that_the_config_names(root, stick):
    (stick / "edged.toml").write_text(
        GOOD
        + """
[mail]
host = "smtp.example.org"
username = "box@example.org"
password = "m4il-s3cret"
to = ["someone@example.org"]

[webhook]
url = "https://alerts.example.org/t0ken-s3cret"
secret = "h00k-s3cret"
"""
    )
    assert import_settings([stick], root)
    config = load_config(root / CONFIG)
    for named, name, secret in (
        (config.mail.password_file, "mail-password", "m4il-s3cret"),
        (config.webhook.secret_file, "webhook-secret", "h00k-s3cret"),
    ):
        assert str(named) == f"/etc/edged/{name}"
        assert (root / FOLDER / name).read_text() == f"{secret}\n"
        assert mode(root / FOLDER / name) == 0o640
    assert "m4il" not in (root / CONFIG).read_text()
    assert "s3cret" not in (stick / APPLIED).read_text()


def test_a_damaged_list_of_what_was_taken_keeps_no_file_from_being_taken(root, stick):
    (root / SEEN).write_bytes(b"\xff\xfe\n")
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)


def test_settings_that_were_applied_count_also_where_that_cannot_be_noted(root, stick, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edged.firstboot.run.replace", refuse)
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert "cannot be written (No space left on device)" in caplog.text


def test_an_empty_file_that_was_passed_over_keeps_no_later_one_from_being_told(root, stick, tmp_path):
    boot = tmp_path / "boot"
    boot.mkdir()
    (boot / "edged.toml").touch()
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick, boot], root)
    (stick / "edged.toml").touch()
    assert not import_settings([stick], root)
    assert "holds no settings" in (stick / ERROR).read_text()


def test_a_box_whose_name_cannot_be_written_takes_its_settings_all_the_same(root, caplog):
    (root / "etc/hostname").unlink()
    (root / "etc/hostname").symlink_to(root / "gone/hostname")
    assert introduce([], root).startswith("edged-")
    assert "etc/hostname cannot be written" in caplog.text


def cut_off_at_every_step(folder, *, pulled_out):
    done = subprocess.run(
        [sys.executable, str(CUT_OFF), str(folder), str(pulled_out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 30
    return lines


@pytest.fixture
def in_use(root, stick):
    """A box that has its settings from a first stick, and another stick."""
    (root / SSH_KEYS).parent.mkdir()
    (root / LOCALTIME).symlink_to("/usr/share/zoneinfo/Etc/UTC")
    (root / PASSWORD).write_text("of-the-old-broker\n")
    (stick / "edged.toml").write_text(GOOD)
    return root.parent


def seen_by_nobody(lying):
    return {name: text for name, text in lying.items() if not name.endswith(".partial") and "/.edged-" not in name}


def test_whenever_the_power_goes_and_the_stick_too_all_settings_are_old_or_all_are_new(root, in_use):
    old = {name: text.decode() for name, text in files(root).items()}
    old["etc/localtime"] = "/usr/share/zoneinfo/Etc/UTC"
    ends = [line["root"] for line in cut_off_at_every_step(in_use, pulled_out=True)]
    new = ends[-1]
    assert new["etc/edged/edged.toml.before"] == SHIPPED
    assert new[str(PASSWORD)] == "br0ker-s3cret\n"
    del new[str(SEEN)]
    kinds = []
    for end in ends:
        settings = seen_by_nobody(end)
        settings.pop(str(SEEN), None)
        assert settings in (old, new)
        kinds.append(settings == new)
    assert kinds == sorted(kinds), "first the old ones, from one step on the new ones"
    assert 10 < sum(kinds) < len(kinds) - 10
    after = [end for end, is_new in zip(ends, kinds, strict=True) if is_new]
    assert not [name for end in after for name in end if name.endswith(".before") and "/." in name]
    assert not [name for end in after for name in end if "/.edged-" in name and "s3cret" in end[name]]


def test_whenever_the_power_goes_the_stick_is_taken_in_the_end_and_keeps_no_password(in_use):
    ends = cut_off_at_every_step(in_use, pulled_out=False)
    new = ends[-1]
    for end in ends:
        assert seen_by_nobody(end["root"]) | {str(SEEN): new["root"][str(SEEN)]} == new["root"]
        assert end["stick"] == new["stick"]
        assert list(end["stick"]) == [APPLIED]


def test_a_name_that_cannot_be_given_leaves_every_file_as_it_was(root, in_use, stick, monkeypatch):
    give = Path.replace

    def refuse(path, target):
        if Path(target) == root / SSH_KEYS:
            raise OSError(16, "Device or resource busy")
        give(path, target)

    (root / SSH_KEYS).write_text("ssh-rsa AAAA before\n")
    before = files(root)
    monkeypatch.setattr(Path, "replace", refuse)
    assert not import_settings([stick], root)
    assert "nothing was changed" in (stick / ERROR).read_text()
    assert files(root) == before
    assert (root / LOCALTIME).readlink() == Path("/usr/share/zoneinfo/Etc/UTC")


def test_a_damaged_list_of_what_was_being_renamed_keeps_no_stick_from_being_taken(root, stick, caplog):
    (root / JOURNAL).write_bytes(b"\0" * 100)
    (stick / "edged.toml").write_text(GOOD)
    assert import_settings([stick], root)
    assert not (root / JOURNAL).exists()
    assert "is damaged" in caplog.text


def test_what_cannot_be_finished_is_one_line_and_is_tried_again(root, stick, caplog, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("edged.firstboot.run.finish", refuse)
    assert not import_settings([stick], root)
    assert "Read-only file system" in caplog.text
