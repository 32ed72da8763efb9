"""Writes the bill of materials (CycloneDX JSON): `python requirements/sbom.py OUT [WHAT]`.

What is locked in requirements/run.txt, or in the file WHAT.txt, or what is installed for the Python WHAT (as
/opt/edged/bin/python); and the models.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from edged.inference import default_engines_dir, load_manifest

ROOT = Path(__file__).parents[1]


def packages(given: str | None) -> dict[str, Any]:
    """The bill of the Python packages, by CycloneDX's own program. It asks no network."""
    of = given or str(ROOT / "requirements" / "run.txt")
    what = ["requirements" if of.endswith(".txt") else "environment", of]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", *what, "--pyproject", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, "--output-reproducible"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"sbom: cyclonedx-py failed: {done.stderr.strip()}")
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def models() -> list[dict[str, Any]]:
    """Every model that ships, with its SHA-256."""
    manifest = load_manifest(default_engines_dir())
    return [
        {
            "bom-ref": f"model-{name}",
            "type": "machine-learning-model",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": entry.sha256}],
            "properties": [{"name": "edged:file", "value": entry.file}],
        }
        for name, entry in sorted(manifest.entries.items())
        if not entry.trained_locally
    ]


def main() -> None:
    out, given = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    bill = packages(given)
    bill["components"] += models()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n")
    print(f"{out}: {len(bill['components'])} components")


if __name__ == "__main__":
    main()
