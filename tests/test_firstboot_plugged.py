"""A stick that is plugged in, or found seconds after the start as USB sticks are, starts the import."""

import re
from pathlib import Path

SYSTEMD = Path(__file__).parents[1] / "systemd"


def test_the_rule_is_read_after_udev_has_read_the_sticks_label():
    (priority,) = re.findall(r"dh_installudev --priority=(\d+)", (SYSTEMD / "debian" / "rules").read_text())
    assert f"{priority}-edged.rules" > "60-persistent-storage.rules"
    (rule,) = [line for line in (SYSTEMD / "debian" / "edged.udev").read_text().splitlines() if "ID_FS_LABEL" in line]
    assert 'ENV{ID_FS_LABEL}=="EDGED"' in rule
    assert 'ENV{SYSTEMD_WANTS}+="edged-import.service"' in rule
