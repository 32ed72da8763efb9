"""The commands of others' mask classifiers: the baselines, trained on our data, and an integrator's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.commands.options import (
    ExistingFile,
    ExistingFolder,
    File,
    Folder,
    data_option,
    export_options,
    training_options,
)

if TYPE_CHECKING:
    from click.decorators import FC


@click.command("train-baseline-classifier")
@training_options
@click.option("--architecture", type=click.Choice(["resnet50", "xception", "mobilenet"]), required=True)
@click.option("--size", default=112, show_default=True, help="Pixels a side; as published 224, for who has a GPU.")
@click.option("--steps", default=3200, show_default=True, help="Batches of 32 faces.")
@click.option(
    "--weights",
    type=ExistingFile,
    help="Keras weights without the top to start from, as ImageNet's.  [default: a random start]",
)
@click.option(
    "--crops", type=Folder, help="Faces cut by an earlier training with this seed.  [default: OUT/crops-SEED]"
)
def train_baseline_classifier(out: Path, crops: Path | None, seed: int, **choice: Any) -> None:
    """Train one of the baseline mask classifiers on the data, samples and split of ours."""
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.train import SeedTraining, train

    train(SeedTraining(out=out, crops=crops or out / f"crops-{seed}", seed=seed, **choice))


@click.command("export-baseline-classifier")
@export_options
def export_baseline_classifier(data: Path, run: Path, engines: Path) -> None:
    """Write a trained baseline classifier as the model that `models.mask` chooses by its architecture's name."""
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.export import deliver_run

    exported, target = deliver_run(run, data, engines)
    click.echo(f"wrote {target}: step {exported.steps}, parity {exported.parity:.1e}")


@click.command("compare-classifiers")
@data_option
@click.option(
    "--run", "runs", type=ExistingFolder, multiple=True, help="A baseline classifier's --out folder; may be repeated."
)
def compare_classifiers(data: Path, runs: tuple[Path, ...]) -> None:
    """Measure our mask classifier and trained baseline classifiers side by side on held-out faces."""
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.compare import compare_runs

    click.echo(compare_runs(data, runs))


def adoption_options(command: "FC") -> "FC":
    """What is asked of everybody who brings a classifier: what it means, a face to prove it by, and where it goes."""
    text = "Take the place of the model of that name."
    command = click.option("--replace", is_flag=True, help=text)(command)
    text = "Its name there; the product takes `mask`."
    command = click.option("--name", default="mask", show_default=True, help=text)(command)
    text = "The folder that gets the model and its manifest entry."
    command = click.option("--engines", type=Folder, required=True, help=text)(command)
    text = "What it was trained on, and its terms."
    command = click.option("--training-data", required=True, help=text)(command)
    command = click.option("--licence", required=True, help="The terms of the model.")(command)
    text = "Where it is, in a larger picture."
    command = click.option("--golden-box", type=float, nargs=4, metavar="X1 Y1 X2 Y2", help=text)(command)
    states = click.Choice(["correct", "incorrect", "none"])
    command = click.option("--golden-state", type=states, required=True, help="How it is worn.")(command)
    command = click.option("--golden", type=ExistingFile, required=True, help="A face.")(command)
    text = "Which colour it takes first."
    command = click.option("--colours", type=click.Choice(["rgb", "bgr"]), required=True, help=text)(command)
    ranges = click.Choice(["0..255", "0..1", "-1..1", "resnet50", "torch"])
    text = "What it was trained to see: a range, or the means and deviations of Keras's ResNet50 or of torchvision."
    command = click.option("--pixels", type=ranges, required=True, help=text)(command)
    text = "What its outputs stand for: correct, incorrect, none."
    return click.option("--classes", required=True, metavar="A,B,C", help=text)(command)


@click.command("keras")
@click.argument("model", type=File)
@adoption_options
@click.option("--logits", is_flag=True, help="Its outputs are logits, not probabilities.")
def keras(model: Path, engines: Path, name: str, replace: bool, **said: Any) -> None:
    """Take MODEL, a mask classifier of your own as a .keras file, into an engines folder of your own.

    It is written as ONNX only when it judges the golden picture as you say, and ONNX Runtime agrees with Keras. Copy
    edged's engines folder, give the copy to --engines, and point EDGED_ENGINES to it.
    """
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.adopt import adopt, claim_of
    from convert.classifiers.keras_file import keras_classifier

    written = adopt(claim_of(model=model, **said), keras_classifier(model), engines, name, replace)
    click.echo(f"wrote {engines / name}.onnx, sha256 {written.sha256}, parity {written.parity:.1e}")


@click.command("torch")
@click.argument("state_dict", type=File)
@click.option("--architecture", type=click.Choice(["resnet50", "mobilenet_v2", "xception"]), required=True)
@click.option("--size", type=int, required=True, help="Pixels a side of the pictures that it was trained on.")
@adoption_options
def torch(state_dict: Path, architecture: str, size: int, engines: Path, name: str, replace: bool, **said: Any) -> None:
    """Take STATE_DICT, a mask classifier of your own, into an engines folder of your own.

    The file is what `torch.save(model.state_dict(), FILE)` writes of torchvision's resnet50 or mobilenet_v2, or of timm's
    resnet50 or legacy_xception, with a last layer of your own. Pickled models and TorchScript are refused: they are programs.

    It is written as ONNX only when it judges the golden picture as you say, and ONNX Runtime agrees with PyTorch. Copy
    edged's engines folder, give the copy to --engines, and point EDGED_ENGINES to it.
    """
    from convert.torch_file import load_torch

    load_torch()
    from convert.classifiers.adopt import adopt, claim_of
    from convert.classifiers.torch_model import torch_classifier

    claim = claim_of(model=state_dict, logits=True, **said)
    written = adopt(claim, torch_classifier(state_dict, architecture, size), engines, name, replace)
    click.echo(f"wrote {engines / name}.onnx, sha256 {written.sha256}, parity {written.parity:.1e}")
