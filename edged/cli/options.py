"""Options and arguments that several verbs share."""

from pathlib import Path

import click

from edged.config import Config, config_path, load_config

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config file; EDGED_CONFIG, else /etc/edged/edged.toml, when left out.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def read_config(given: Path | None) -> Config:
    """The config at `given`, or where it usually is. Raise ConfigError when it is wrong."""
    return load_config(config_path(given))


def read_config_if_any(given: Path | None) -> Config:
    """Like `read_config`, but the defaults when no file was named and none is there."""
    path = config_path(given)
    return load_config(path) if given is not None or path.exists() else Config()
