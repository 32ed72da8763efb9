"""A real Home Assistant in an environment of its own (`make home-assistant`), asked over its REST interface."""

import json
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

import pytest

from support.mosquitto import free_port, until

ENVIRONMENT = Path(__file__).parents[2] / ".cache" / "homeassistant"
PYTHON = ENVIRONMENT / "bin" / "python"
CHILD = Path(__file__).with_name("home_assistant_child.py")
STARTS_WITHIN_S = 300.0

needs_home_assistant = pytest.mark.skipif(
    not (ENVIRONMENT / ".ready").exists(),
    reason="Home Assistant is not installed: run `make home-assistant` (it needs Python 3.13 and the package index)",
)


def schema_mistakes(payload: dict[str, Any]) -> list[str]:
    """What Home Assistant's own schemas dislike in a discovery payload."""
    done = subprocess.run(
        [PYTHON, CHILD, "schemas"], input=json.dumps(payload), capture_output=True, text=True, timeout=STARTS_WITHIN_S
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class HomeAssistant:
    """Running within `with`, connected to the broker on `broker_port` of this machine."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        folder.mkdir()
        (folder / "configuration.yaml").touch()
        self._port, self._log = free_port(), folder / "home-assistant.log"
        self._command = [str(PYTHON), str(CHILD), str(folder), str(broker_port), str(self._port)]
        self._token = ""

    def __enter__(self) -> "HomeAssistant":
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)
        threading.Thread(target=self._read_token, daemon=True).start()
        running = until(lambda: self._token or self._process.poll() is not None, STARTS_WITHIN_S)
        assert running, self._log.read_text()
        assert self._token, self._log.read_text()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def entities(self) -> dict[str, dict[str, Any]]:
        """The state of each entity, by its name for people."""
        states = json.loads(self._ask("/api/states"))
        return {state["attributes"].get("friendly_name", state["entity_id"]): state for state in states}

    def state(self, name: str) -> str | None:
        """The state of the entity of that name, None where there is none."""
        entity = self.entities().get(name)
        return entity and entity["state"]

    def render(self, template: str) -> str:
        return self._ask("/api/template", {"template": template})

    def press(self, name: str) -> None:
        self._ask("/api/services/button/press", {"entity_id": self.entities()[name]["entity_id"]})

    def _read_token(self) -> None:
        assert self._process.stdout is not None
        self._token = self._process.stdout.readline().strip()  # and nothing more is printed

    def _ask(self, path: str, content: dict[str, Any] | None = None) -> str:
        data = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._port}{path}"
        with urlopen(Request(url, data, headers), timeout=60) as answer:
            return answer.read().decode()
