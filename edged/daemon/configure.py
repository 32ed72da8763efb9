"""The verb `configure`: the console asks, the daemon plans, tries, writes and takes up a change of its own layer of settings.

The daemon writes, and not the console: it is the one that can say whether it could serve under the change, its state
directory stays closed to everybody else, and the console, which strangers may reach over the network, can change nothing
but what `change.py` lists. The verb is answered on the request socket only, never over MQTT.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edged.config import Config, load_layered
from edged.config.change import KEPT_IN, Plan, make_folder, plan_change, plan_undo, steps, write
from edged.config.layers import CONSOLE, layers_folder
from edged.config.section import LONGEST_PASSWORD
from edged.daemon.pause import named
from edged.errors import ConfigError, EdgedError
from edged.files import replace

log = logging.getLogger(__name__)

NAME = "mqtt-password-"

Answer = dict[str, Any]


class Configure:
    """Used by the main thread."""

    def __init__(self, path: Path, apply: Callable[[Config], bool]) -> None:
        """`path`: the user's own file. `apply` puts a config in force, and gives False where that takes a restart; it raises
        EdgedError, and changes nothing, where the daemon could not serve under it.
        """
        self._path, self._apply = path, apply

    def answer(self, asked: Mapping[str, Any]) -> Answer:
        """What came of it. Without `set` and `undo`: how things are.

        `set`: keys with their new values, None for none of the console's own. `undo`: take the last change back. `try`: only
        say what it would do. `read`: the `sha256` that the change was made for. `who`: goes into the log.
        Where a file was damaged while the change was made, `sha256` and `own` are of before, and `left_out` says so.
        """
        try:
            plan = self._plan(asked)
            carried_out = plan is not None and not asked.get("try")
            in_force = self._carry_out(plan, asked) if plan and carried_out else True
        except EdgedError as error:
            return _refusal(error)
        damage: list[str] = []
        try:
            layered = load_layered(self._path)
        except EdgedError as error:
            if plan is None or not carried_out:
                return _refusal(error)
            layered, damage = plan.before, str(error).splitlines()[:1]  # the change itself was made
        own = next((layer.tables for layer in layered.layers if layer.path.name == CONSOLE), {})
        return {
            "ok": True,
            "error": None,
            "changes": list(plan.lines) if plan else [],
            "restart_needed": not in_force,
            "sha256": layered.sha256,
            "own": own,
            "steps": len(steps(layered.config)),
            "left_out": [*layered.left_out, *damage],
        }

    def _plan(self, asked: Mapping[str, Any]) -> Plan | None:
        read, keys, password = asked.get("read"), asked.get("set"), asked.get("mqtt_password")
        if read is not None and not isinstance(read, str):
            raise ConfigError("read: must be the sha256 that was answered before")
        if asked.get("undo"):
            return plan_undo(self._path, read)
        if keys is None and password is None:
            return None
        if not isinstance(keys or {}, dict):
            raise ConfigError("set: must be an object of keys and their values")
        if password is None:
            return plan_change(self._path, keys or {}, read)
        if not isinstance(password, str) or not 1 <= len(password) <= LONGEST_PASSWORD or not password.isprintable():
            raise ConfigError(f"mqtt_password: must be 1 to {LONGEST_PASSWORD} characters that can be printed")
        file = load_layered(self._path).folder / f"{NAME}{secrets.token_hex(4)}"
        return plan_change(self._path, {**(keys or {}), KEPT_IN: str(file)}, read, trusted={KEPT_IN})

    def _carry_out(self, plan: Plan, asked: Mapping[str, Any]) -> bool:
        """Put it in force, then on the disk, in this order: what the daemon cannot serve under is never written."""
        folder = plan.before.folder
        try:
            make_folder(folder)
            if password := asked.get("mqtt_password"):
                replace(Path(str(plan.after.mqtt.password_file)), str(password).encode() + b"\n")
            in_force = self._apply(plan.after)
            try:
                write(plan)
            except OSError:
                self._apply(plan.before.config)
                raise
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written ({error.strerror}); nothing was changed") from None
        finally:
            _forget_passwords(plan.before.config)
        log.info("%s changed the settings: %s", named(asked.get("who")), "; ".join(plan.lines) or "nothing")
        return in_force


def _refusal(error: EdgedError) -> Answer:
    return {"ok": False, "error": str(error).splitlines()[0]}


def _forget_passwords(config: Config) -> None:
    """Remove the passwords that neither the console's file nor one that an undo could bring back names."""
    folder = layers_folder(config)
    with suppress(OSError):
        named = b"".join(file.read_bytes() for file in (folder / CONSOLE, *steps(config)) if file.exists())
        for file in folder.glob(f"{NAME}*"):
            if file.name.encode() not in named:
                file.unlink()
