"""A stick that is plugged in, or found seconds after the start as USB sticks are, starts the import."""

import re
import subprocess
import sys
from pathlib import Path

SYSTEMD = Path(__file__).parents[1] / "systemd"


def test_the_rule_is_read_after_udev_has_read_the_sticks_label():
    (priority,) = re.findall(r"dh_installudev --priority=(\d+)", (SYSTEMD / "debian" / "rules").read_text())
    assert f"{priority}-edged.rules" > "60-persistent-storage.rules"
    (rule,) = [line for line in (SYSTEMD / "debian" / "edged.udev").read_text().splitlines() if "ID_FS_LABEL" in line]
    assert 'ENV{ID_FS_LABEL}=="EDGED"' in rule
    assert 'ENV{SYSTEMD_WANTS}+="edged-import.service"' in rule


def test_a_boot_with_nothing_new_to_take_does_not_wait_for_the_configs_libraries(tmp_path):
    asked = (
        "import sys; from pathlib import Path; from edged.firstboot.run import import_settings;"
        f"assert not import_settings([Path({str(tmp_path)!r})], Path({str(tmp_path)!r}));"
        "print({'pydantic', 'paho'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
