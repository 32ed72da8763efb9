"""Runs cosmic-ray over a sample of the mutants of some modules, in a copy of the repository, and lists those that survive."""

import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEED = 7
TESTS = {
    "config/signals.py": "tests/test_config.py tests/test_settings_have_effect.py -k 'config or mask. or attention"
    " or drowsiness'",
    "config/load.py": "tests/test_config.py",
    "config/source.py": "tests/test_source_uri.py tests/test_config.py tests/test_capture_parts.py",
    "signals/mask.py": "tests/test_signals_mask.py tests/test_beginnings.py",
    "signals/attention.py": "tests/test_signals_attention.py tests/test_beginnings.py",
    "signals/nods.py": "tests/test_signals_nods.py",
    "signals/levels.py": "tests/test_signals_drowsiness.py",
    "events/lifecycle.py": "tests/test_events_mask.py tests/test_events_attention.py tests/test_beginnings.py",
    "events/kinds.py": "tests/test_events_mask.py tests/test_events_attention.py tests/test_events_drowsiness.py"
    " tests/test_beginnings.py",
    "report/statistics.py": "tests/test_report_statistics.py",
    "report/coverage.py": "tests/test_report_coverage.py tests/test_pause.py",
    "report/tally.py": "tests/test_report_statistics.py tests/test_report_day.py tests/test_report_build.py",
}
"""The tests that must notice a change of each module."""

CONFIG = """
[cosmic-ray]
module-path = "edged/{module}"
timeout = 180.0
excluded-modules = []
test-command = "{python} -m pytest -q -x -p no:cacheprovider {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def mutate(tool: Path, copy: Path, module: str, sample: int) -> tuple[int, int, list[str]]:
    """How many mutants there are, how many were tried, and the survivors as differences."""
    config, session = copy / "mutants.toml", copy / "mutants.sqlite"
    session.unlink(missing_ok=True)
    config.write_text(CONFIG.format(module=module, python=sys.executable, tests=TESTS[module]))
    subprocess.run([tool, "init", config.name, session.name], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([tool, "baseline", config.name], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    with closing(sqlite3.connect(session)) as base, base:
        jobs = [job for (job,) in base.execute("SELECT job_id FROM mutation_specs ORDER BY job_id")]
        # Annotations are never evaluated here, so that a | in one that becomes a + tells nothing.
        told = [
            job for (job,) in base.execute(
                "SELECT job_id FROM mutation_specs WHERE operator_name NOT LIKE '%BitOr%' ORDER BY start_pos_row,"
                " start_pos_col, operator_name, occurrence"
            )
        ]  # fmt: skip
        kept = set(random.Random(SEED).sample(told, min(sample, len(told))))
        gone = [(job,) for job in jobs if job not in kept]
        base.executemany("DELETE FROM mutation_specs WHERE job_id = ?", gone)
        base.executemany("DELETE FROM work_items WHERE job_id = ?", gone)
    subprocess.run([tool, "exec", config.name, session.name], cwd=copy, check=True)
    dump = subprocess.run([tool, "dump", session.name], cwd=copy, check=True, stdout=subprocess.PIPE, text=True).stdout
    results = [json.loads(line)[1] for line in dump.splitlines()]
    survivors = [str(one["diff"]) for one in results if one and one["test_outcome"] == "survived"]
    return len(told), len(kept), survivors


def main() -> int:
    """`SAMPLE` mutants of each module, or of those named after it."""
    sample, modules = int(sys.argv[1]), sys.argv[2:] or list(TESTS)
    tool = ROOT / ".venv-mutate/bin/cosmic-ray"
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        subprocess.run(["git", "checkout-index", "--all", f"--prefix={folder}/"], cwd=ROOT, check=True)
        for module in modules:
            there, tried, survivors = mutate(tool, Path(folder), module, sample)
            print(f"{module}: {tried} of {there} mutants tried, {tried - len(survivors)} noticed", flush=True)
            print(*survivors, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
