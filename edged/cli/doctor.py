"""`edged doctor`: camera, models, broker, disk, clock, permissions: one line each, with the remedy."""

from pathlib import Path

import click

from edged.cli.options import config_option, json_lines_option, print_json
from edged.config import config_path, load_config
from edged.doctor import examine
from edged.errors import Failed
from edged.processes.home import passing_home

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@config_option
@json_lines_option
def doctor(config_file: Path | None, as_json: bool) -> None:
    """Check cameras, models, broker, disk, clock and permissions: one line each, with the remedy.

    Exit code 1 when something must be corrected.
    """
    problems, path = 0, config_path(config_file)
    config = load_config(path)
    with passing_home():  # GStreamer and its compiler would write into the home of whoever asks
        for finding in examine(config, path):
            problems += finding.verdict == "problem"
            if as_json:
                print_json({"what": finding.what, "verdict": finding.verdict, "line": finding.line})
            else:
                mark, colour = MARKS[finding.verdict]
                click.secho(f"{mark} {finding.what}: {finding.line}", fg=colour)
    if problems:
        raise Failed(f"{problems} of these must be corrected")
