"""Options and arguments that several verbs share, and the one form of their JSON.

With `--json` standard output holds JSON and nothing else, UTF-8, one object a line, whichever verb it is:

* a verb that gives many things, or things as they come, prints **JSON Lines**: an object for each, as soon as it is
  known, and nothing where there is none (`json_lines_option`);
* a verb that answers one question prints **one object** (`json_object_option`).

No verb prints an array: a reader takes a line, and needs to know nothing about the next. What went wrong stands on standard
error and by the exit code, as without `--json`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from edged.config import Config, config_path, load_config

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The config file; EDGED_CONFIG, else /etc/edged/edged.toml, when left out.",
)
json_object_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print JSON Lines: one object a line.")


def print_json(record: Mapping[str, Any]) -> None:
    """Print one object on a line of its own."""
    click.echo(json.dumps(record, separators=(",", ":")))


def print_document(text: str) -> None:
    """Print a whole document, UTF-8 whatever the terminal speaks.

    Into a file or another program go its own bytes and no more: their SHA-256 is the one that a report's page names.
    """
    click.echo(text.encode(), nl=sys.stdout.isatty() and not text.endswith("\n"))


def read_config(given: Path | None) -> Config:
    """The config at `given`, or where it usually is. Raise ConfigError when it is wrong."""
    return load_config(config_path(given))


def read_config_if_any(given: Path | None) -> Config:
    """Like `read_config`, but the defaults when no file was named and none is there."""
    path = config_path(given)
    return load_config(path) if given is not None or path.exists() else Config()
