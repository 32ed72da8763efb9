"""Copies the shipped models to where a test may spoil them, and builds their engines for the doubled GPU."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from convert.record import deliver_locally
from edged.inference import default_engines_dir, load_manifest


def copy_of_engines(folder: Path, *names: str) -> Path:
    """The golden pictures and these models (all, if none is named), with a manifest of their own: others take time."""
    copy = Path(shutil.copytree(default_engines_dir(), folder / "engines-copy"))
    parts = re.split(r"(?m)^(?=\[model\.[a-z0-9-]+\]$)", (copy / "manifest.toml").read_text())
    kept = [part for part in parts if not names or any(part.startswith(f"[model.{name}]") for name in names)]
    (copy / "manifest.toml").write_text("".join(kept))
    return copy


def trained_here(engines: Path, name: str, source: str) -> Path:
    """In the copy `engines`, the model `source` in place of `name`, as if it had been trained on this machine."""
    return deliver_locally(engines / f"{source}.onnx", engines, name)


def untrained(engines: Path) -> Path:
    """The copy `engines` without what somebody may have trained in this checkout."""
    for entry in load_manifest(engines).entries.values():
        if entry.trained_locally:
            (engines / entry.file).unlink(missing_ok=True)
            (engines / entry.hash_file).unlink(missing_ok=True)
    return engines


def build(folder: Path, environment: dict[str, str], *models: str, agrees: bool = True) -> None:
    """Engines for the doubled GPU of `environment`, where a daemon whose database lies in `folder` looks for them."""
    code = (
        "import sys, pathlib;"
        "from edged.backends.build_child import run_build; from edged.backends.build_parent import BuildRequest;"
        "from edged.config import ModelsConfig;"
        "folder = pathlib.Path(sys.argv[1]);"
        "results = [run_build(BuildRequest(model=m, folder=folder, models=ModelsConfig()), print) for m in sys.argv[2:]];"
        f"assert all(v.agrees is {agrees} for v in results), results"
    )
    command = [sys.executable, "-c", code, str(folder / "engines"), *models]
    subprocess.run(command, env={**os.environ, **environment}, check=True, timeout=600, stdout=subprocess.DEVNULL)
