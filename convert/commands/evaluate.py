"""The command that scores every model on the data at hand, peers beside them."""

import json
from pathlib import Path
from typing import Any

import click

from convert.commands.options import Folder, data_option
from convert.evaluation.tasks import TASKS


@click.command("evaluate")
@data_option
@click.option("--only", type=click.Choice(TASKS), multiple=True, help="Only this; may be repeated.")
@click.option("--sample", type=click.IntRange(1), help="At most so many pictures of each set, from all over it.")
@click.option("--all", "everything", is_flag=True, help="Pictures that trainings saw too, not only those kept back.")
@click.option("--sheets", type=Folder, help="Write contact sheets of the worst cases into this folder.")
@click.option("--write-cards", is_flag=True, help="Write the figures into the model cards of the engines folder.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of tables.")
def evaluate(
    data: Path,
    only: tuple[Any, ...],
    sample: int | None,
    everything: bool,
    sheets: Path | None,
    write_cards: bool,
    as_json: bool,
) -> None:
    """Score all models on all labelled data, peers beside them, with 95 % intervals.

    Tells who is missed and whose mask is told wrongly by size, source, brightness of skin, glasses, head cover, beard and age.
    Scores the part that no training saw (15 of 100 pictures, by name), without near copies of the rest. It needs no PyTorch.
    """
    from convert.evaluation import evaluate as evaluation
    from convert.evaluation.report import markdown
    from convert.evaluation.report import write_cards as write
    from convert.evaluation.sources import Part
    from edged.inference import default_engines_dir, load_manifest

    manifest = load_manifest(default_engines_dir())
    tasks = frozenset(only or evaluation.at_hand(data))
    for task in TASKS if not only else ():
        if task not in tasks:
            click.echo(f"{data / evaluation.FOLDERS[task]} is not there: {task} are not scored", err=True)
    request = evaluation.Request(data, tasks, Part(everything, sample), sheets)
    done = evaluation.evaluate(request, manifest)
    click.echo(json.dumps(done.record(), indent=1) if as_json else markdown(done.sections))
    if done.pictures:
        told = f"{done.pictures} pictures; {done.near_copies} kept back were left out, being near copies of others"
        click.echo(told, err=True)
    for path in done.sheets:
        click.echo(f"wrote {path}", err=True)
    if write_cards:
        part = "all pictures, those of the trainings too" if everything else "the part that no training saw"
        part += f", at most {sample} of each set" if sample else ""
        for card in write(done.sections, manifest, part):
            click.echo(f"wrote {card}", err=True)
