"""A GPIO chip made of files, for this process or for a daemon: see `gpiod_on_path`."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ON_PATH = Path(__file__).with_name("gpiod_on_path")
LINES = ["", "BUTTON", "RED", "GREEN", "BUZZER", "DOOR"]
LABEL = "pinctrl-test"


def double() -> ModuleType:
    """The double, beside the real package."""
    name = "gpiod_double"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, ON_PATH / "gpiod" / "__init__.py", submodule_search_locations=[str(ON_PATH / "gpiod")]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


class FileChip:
    """`lines` by their names, and what their levels were."""

    def __init__(self, folder: Path, label: str = LABEL, number: int = 0, lines: list[str] = LINES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.lines = folder, lines
        self.path = folder / f"gpiochip{number}"
        self.label = label
        self.plug_in()

    def plug_in(self) -> None:
        self.path.write_text(json.dumps({"label": self.label, "lines": self.lines}))

    def pull_out(self) -> None:
        self.path.unlink()

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to see this chip."""
        path = os.pathsep.join(filter(None, [str(ON_PATH), os.environ.get("PYTHONPATH")]))
        return {"PYTHONPATH": path, "EDGED_GPIO_CHIPS": str(self.folder)}

    def edges(self, line: str) -> list[tuple[float, bool]]:
        """When the line was set to which level, from the first on."""
        log = self.path.with_name(f"{self.path.name}.{self.lines.index(line)}.levels")
        if not log.exists():
            return []
        pairs = [text.split() for text in log.read_text().splitlines() if text.count(" ") == 1]
        return [(float(moment), level == "1") for moment, level in pairs]

    def is_high(self, line: str) -> bool | None:
        """None before it was ever driven."""
        edges = self.edges(line)
        return edges[-1][1] if edges else None

    def press(self, line: str) -> None:
        presses = self.path.with_name(f"{self.path.name}.{self.lines.index(line)}.presses")
        with presses.open("wb", buffering=0) as fifo:
            fifo.write(b"\x01")

    def hold(self, line: str) -> None:
        """Press it, and do not let go."""
        self.path.with_name(f"{self.path.name}.{self.lines.index(line)}.down").touch()
        self.press(line)


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have this process see the chips in `folder`."""
    monkeypatch.setattr("edged.outputs.gpio._library", double)
    monkeypatch.setattr("edged.outputs.gpio.DEVICES", folder)
