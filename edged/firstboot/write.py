"""Puts validated settings where the system reads them, all at once: every file is whole on the disk before the first takes its
name, and then all take theirs, whatever comes in between.
"""

import grp
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edged.files import write_beside
from edged.firstboot.settings import NetworkConfig, Settings
from edged.firstboot.together import rename_together
from edged.toml import dump_toml

FOLDER = Path("etc/edged")
CONFIG = FOLDER / "edged.toml"
BEFORE = FOLDER / "edged.toml.before"
"""The config that the last import replaced: a file that was cut off between two tables is valid as well."""
ZONES = Path("usr/share/zoneinfo")
LOCALTIME = Path("etc/localtime")
CONNECTION = Path("etc/NetworkManager/system-connections/edged.nmconnection")
WIRELESS = Path("etc/modprobe.d/edged-wireless.conf")
SSH_KEYS = Path("root/.ssh/authorized_keys")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file to be written below the root."""

    path: Path
    data: bytes
    mode: int
    edged_reads: bool = False
    """Belongs to edged's group, which may read it."""


def entries(settings: Settings, root: Path) -> Iterator[Entry]:
    """What `settings` come to, and a copy of the config that they replace. Keys for SSH are added to those that are there."""
    head = "# Written from the edged.toml of a stick or the boot partition; its keys: /opt/edged/share/edged/config/edged.toml\n"
    config = (head + dump_toml(settings.tables)).encode()
    yield Entry(CONFIG, config, 0o640, edged_reads=True)
    with suppress(FileNotFoundError):
        before = (root / CONFIG).read_bytes()
        if before != config:  # of a file that is taken once more, the power having gone before that was noted
            yield Entry(BEFORE, before, 0o640, edged_reads=True)
    for name, secret in settings.secrets.items():
        yield Entry(FOLDER / name, secret.encode() + b"\n", 0o640, edged_reads=True)
    if settings.network is not None:
        yield Entry(CONNECTION, keyfile(settings.network).encode(), 0o600)
        if settings.network.country:
            text = f"options cfg80211 ieee80211_regdom={settings.network.country}\n"
            yield Entry(WIRELESS, text.encode(), 0o644)
    if settings.ssh_keys:
        with suppress(FileNotFoundError):
            known = (root / SSH_KEYS).read_text(errors="surrogateescape").splitlines()
            settings_keys = [*known, *(key for key in settings.ssh_keys if key not in known)]
            yield Entry(SSH_KEYS, ("\n".join(settings_keys) + "\n").encode(errors="surrogateescape"), 0o600)
            return
        yield Entry(SSH_KEYS, ("\n".join(settings.ssh_keys) + "\n").encode(), 0o600)


def keyfile(network: NetworkConfig) -> str:
    """A NetworkManager connection. The name of a wireless network is written as bytes: nothing in it can be read as a setting."""
    lines = ["[connection]", "id=edged", f"type={'wifi' if network.wifi else 'ethernet'}", "autoconnect-priority=10"]
    if network.wifi is not None:
        lines += ["", "[wifi]", "mode=infrastructure", "ssid=" + "".join(f"{byte};" for byte in network.wifi.encode())]
        if network.password:
            spaces = len(network.password) - len(network.password.lstrip(" "))
            escaped = "\\s" * spaces + network.password[spaces:].replace("\\", "\\\\")
            lines += ["", "[wifi-security]", "key-mgmt=wpa-psk", f"psk={escaped}"]
    for family, version in (("ipv4", "."), ("ipv6", ":")):
        lines += ["", f"[{family}]"]
        if network.address is None or version not in network.address:
            lines.append("method=auto")
        else:
            lines += [
                "method=manual",
                f"address1={network.address}" + (f",{network.gateway}" if network.gateway else ""),
            ]
        servers = [server for server in network.dns if version in server]
        lines += [f"dns={''.join(f'{server};' for server in servers)}"] if servers else []
    return "\n".join(lines) + "\n"


def apply(settings: Settings, root: Path) -> None:
    """Write everything, or raise OSError with everything as it was. A power cut in between leaves the rest to `finish`."""
    zone = settings.config.report.timezone
    prepared: list[tuple[Path, Path]] = []
    try:
        for entry in entries(settings, root):
            target = root / entry.path
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if entry.mode == 0o600 else 0o755)
            prepared.append((_written(target, entry).relative_to(root), entry.path))
        if "timezone" in settings.tables.get("report", {}):
            link = LOCALTIME.parent / f".edged-{secrets.token_hex(6)}"
            (root / link).symlink_to(f"/{ZONES / zone}")
            prepared.append((link, LOCALTIME))
    except BaseException:
        for partial, _ in prepared:
            (root / partial).unlink(missing_ok=True)
        raise
    # The config is the first of them, and the last to take its name: whoever reads it before has the old one.
    rename_together(prepared[::-1], root)


def _written(target: Path, entry: Entry) -> Path:
    """A file beside `target` with all of the entry's bytes on the disk."""
    group = None
    if entry.edged_reads and os.geteuid() == 0:
        with suppress(KeyError):
            group = grp.getgrnam("edged").gr_gid
    return write_beside(target, entry.data, entry.mode, group)
