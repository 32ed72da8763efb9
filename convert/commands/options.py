"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.decorators import FC

Folder = click.Path(file_okay=False, path_type=Path)
ExistingFolder = click.Path(exists=True, file_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)
ExistingFile = click.Path(exists=True, dir_okay=False, path_type=Path)


def data_option(command: "FC") -> "FC":
    """The folder of data sets."""
    text = "Folder that holds the data sets (masks853/, landmarks68/, …)."
    return click.option("--data", type=ExistingFolder, envvar="EDGED_DATA", required=True, help=text)(command)


def engines_option(text: str) -> "Callable[[FC], FC]":
    """The folder of models; `text` says what the command wants there."""
    return click.option("--engines", type=ExistingFolder, default=Path("engines"), show_default=True, help=text)


def training_options(command: "FC") -> "FC":
    """What every training asks."""
    command = click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")(command)
    text = "Threads to compute with; fewer are faster on a busy machine.  [default: PyTorch's choice]"
    command = click.option("--threads", default=0, help=text)(command)
    command = click.option("--seed", default=0, show_default=True)(command)
    text = "Where checkpoints, the log and cached pictures go."
    return data_option(click.option("--out", type=Folder, required=True, help=text)(command))


def start_option(command: "FC") -> "FC":
    """Where a training may begin."""
    text = "An exported model to go on from, at half the learning rate."
    return click.option("--start", type=File, help=text)(command)


def export_options(command: "FC") -> "FC":
    """What every export asks."""
    command = engines_option("Where the model, its card and the manifest are.")(command)
    text = "The training's --out folder."
    return data_option(click.option("--run", type=ExistingFolder, required=True, help=text)(command))
