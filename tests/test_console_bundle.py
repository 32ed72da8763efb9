"""The support bundle names no other machine and no person, wherever in it one is told of."""

import json

import pytest

from edged.console.bundle import hosts_of, redacted, unsigned, without_hosts
from edged.host import device

CONFIG = {
    "mqtt": {"host": "broker.hospital.example", "username": "edged-ward7"},
    "camera": {"door": {"source": "rtsp://user:hush@cam7.hospital.example:554/1"}},
    "console": {"hosts": ["entrance.hospital.example"], "port": 8080},
}


def test_the_configs_hosts_are_in_no_line_of_any_file() -> None:
    told = "cannot resolve broker.hospital.example; CAM7.hospital.example, entrance.hospital.example: as edged-ward7."
    files = without_hosts({"status.json": told, "store.json": "{}"}, hosts_of(CONFIG))
    assert files == {"status.json": "cannot resolve ***; ***, ***: as ***.", "store.json": "{}"}


def test_addresses_of_every_length_are_taken_out_and_times_stay() -> None:
    assert redacted("cannot reach [fd00::1]:1883") == "cannot reach [***]:1883"
    assert redacted("::1 and fe80::, 2001:db8::7: refused.") == "*** and ***, ***: refused."
    assert redacted("at 16:31:09 on 00:11:22:33:44:55") == "at 16:31:09 on ***"


@pytest.mark.parametrize("sign", ["'", ",", ";", '"', "\\", "@"])
def test_of_an_address_nothing_is_left_whatever_signs_its_password_has(sign: str) -> None:
    source = f"rtsp://admin:it{sign}hush!word@cam.example/s"
    kept = json.loads(redacted(json.dumps({"source": source, "fps": 5})))
    assert kept == {"source": "rtsp://***", "fps": 5}


def test_what_a_person_wrote_into_an_event_stays_here() -> None:
    event = {"kind": "system", "state": "paused", "details": {"who": "Ana", "reason": "Ana's birthday"}}
    shown = unsigned([event, {"camera": "door", "details": {"reason": "no answer"}}])
    assert shown[1]["details"]["reason"] == "no answer"
    assert shown[0] == {"kind": "system", "state": "paused", "details": {"who": "***", "reason": "***"}}


def test_the_board_is_named_where_the_unit_hides_its_first_place(tmp_path, monkeypatch) -> None:
    there = tmp_path / "model"
    there.write_text("Raspberry Pi 5 Model B\0")
    assert "/sys/firmware/devicetree/base/model" in map(str, device.MODELS)
    monkeypatch.setattr(device, "MODELS", (tmp_path / "hidden", there))
    assert device.device_model() == "Raspberry Pi 5 Model B"
