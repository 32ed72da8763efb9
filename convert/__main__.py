"""The command line of training and conversion: `python -m convert --help`."""

import sys
from pathlib import Path
from typing import Any, Protocol

import click

from convert.fp16 import fp16, fp16_figures
from edged.errors import EdgedError

Folder = click.Path(file_okay=False, path_type=Path)
DataFolder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train, check and export edged's models. Libraries are imported only by the command that needs them."""


def data_option(command: "click.decorators.FC") -> "click.decorators.FC":
    """The folder of data sets."""
    text = "Folder that holds the data sets (masks853/, landmarks68/, …)."
    return click.option("--data", type=DataFolder, envvar="EDGED_DATA", required=True, help=text)(command)


def training_options(command: "click.decorators.FC") -> "click.decorators.FC":
    """What every training asks."""
    command = click.option("--resume", is_flag=True, help="Go on from the checkpoint in --out.")(command)
    text = "Threads to compute with; fewer are faster on a busy machine.  [default: PyTorch's choice]"
    command = click.option("--threads", default=0, help=text)(command)
    command = click.option("--seed", default=0, show_default=True)(command)
    text = "Where checkpoints, the log and cached pictures go."
    return data_option(click.option("--out", type=Folder, required=True, help=text)(command))


def export_options(command: "click.decorators.FC") -> "click.decorators.FC":
    """What every export asks."""
    text = "Where the model, its card and the manifest are."
    command = click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help=text)(command)
    return data_option(
        click.option("--run", type=DataFolder, required=True, help="The training's --out folder.")(command)
    )


class Report(Protocol):
    """What an export prints and records."""

    @property
    def tables(self) -> str:
        """Markdown for the card."""

    @property
    def figures(self) -> dict[str, float]:
        """Numbers for the manifest."""


def _record(name: str, engines: Path, sha256: str, report: Report) -> None:
    from convert.record import record_model, record_tables

    click.echo(report.tables)
    record_tables(engines / f"{name}.md", report.tables)
    record_model(engines / "manifest.toml", name, sha256, report.figures)


@main.command("train-mask")
@training_options
@click.option("--epochs", default=8, show_default=True, help="Rounds of 200 batches of 128 faces.")
def train_mask(data: Path, out: Path, epochs: int, seed: int, resume: bool, threads: int) -> None:
    """Train the mask classifier."""
    from convert.mask.train import MaskTraining, train

    train(MaskTraining(data, out, epochs, seed, resume, threads))


@main.command()
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX files go.")
@click.option(
    "--wheel", type=click.Path(dir_okay=False, path_type=Path), help="The wheel of mtcnn 1.0.0, when offline."
)
@click.option("--package", type=Folder, help="Or the directory of the installed package.")
def mtcnn(out: Path, wheel: Path | None, package: Path | None) -> None:
    """Build MTCNN's three networks from the weights in the PyPI package; nothing to do when they are there."""
    from convert.mtcnn import write_networks
    from edged.inference import default_engines_dir, load_manifest

    for path in write_networks(out, load_manifest(default_engines_dir()), wheel, package):
        click.echo(f"wrote {path}")


@main.command()
@click.argument("weights", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=Folder, default="engines", show_default=True, help="Where the ONNX file goes.")
def retinaface(weights: Path, out: Path) -> None:
    """Build RetinaFace from WEIGHTS, a PyTorch state dict; engines/retinaface.md says which."""
    from convert.retinaface import write_network
    from edged.inference import default_engines_dir, load_manifest

    click.echo(f"wrote {write_network(weights, out, load_manifest(default_engines_dir()))}")


@main.command("export-mask")
@export_options
def export_mask(data: Path, run: Path, engines: Path) -> None:
    """Calibrate and write the mask classifier, and record its hash and figures."""
    from convert.mask import export

    target = engines / "mask.onnx"
    written = export.export_mask(data, run, target)
    click.echo(f"temperature {written.temperature:.3f}, parity {written.parity:.1e}\n")
    _record("mask", engines, written.sha256, export.report(data, target))


@main.command("train-detector")
@training_options
@click.option("--steps", default=20000, show_default=True, help="Batches of 16 windows of 320 x 320 pixels.")
def train_detector(data: Path, out: Path, steps: int, seed: int, resume: bool, threads: int) -> None:
    """Train the face detector with its points and mask branch."""
    from convert.detector.train import DetectorTraining, train

    train(DetectorTraining(data, out, steps, seed, resume, threads))


@main.command("export-detector")
@export_options
def export_detector(data: Path, run: Path, engines: Path) -> None:
    """Write the face detector, and record its hash and figures."""
    from convert.detector import export

    target = engines / "detector.onnx"
    written = export.export_detector(run, target)
    click.echo(f"step {written.step}, parity {written.parity:.1e}\n")
    _record("detector", engines, written.sha256, export.report(data, target))


@main.command("train-eyes")
@training_options
@click.option("--steps", default=2000, show_default=True, help="Batches of 128 eyes.")
@click.option("--fold", type=click.IntRange(0, 6), default=0, show_default=True, help="The seventh that is held out.")
def train_eyes(data: Path, out: Path, steps: int, fold: int, seed: int, resume: bool, threads: int) -> None:
    """Train the eye classifier."""
    from convert.eyes.train import EyeTraining, train

    train(EyeTraining(data, out, steps, fold, seed, resume, threads))


@main.command("export-eyes")
@export_options
def export_eyes(data: Path, run: Path, engines: Path) -> None:
    """Calibrate and write the eye classifier, and record its hash and figures."""
    from convert.eyes import export

    target = engines / "eyes.onnx"
    written = export.export_eyes(data, run, target)
    click.echo(f"step {written.step}, temperature {written.temperature:.3f}, parity {written.parity:.1e}\n")
    _record("eyes", engines, written.sha256, export.report(data, target))


architecture_option = click.option(
    "--architecture", type=click.Choice(["edged", "efficientnet-b0"]), default="edged", show_default=True
)


@main.command("train-landmarks")
@training_options
@click.option("--steps", default=6400, show_default=True, help="Batches of 32 faces of 112 x 112 pixels.")
@architecture_option
@click.option("--prepared", type=DataFolder, help="Another training's --out folder, to share its prepared faces.")
def train_landmarks(**choice: Any) -> None:
    """Train a regressor of 68 landmarks: ours, or EfficientNet-B0 to compare with."""
    from convert.landmarks.train import LandmarkTraining, train

    train(LandmarkTraining(**choice))


@main.command("export-landmarks")
@export_options
@architecture_option
def export_landmarks(data: Path, run: Path, engines: Path, architecture: str) -> None:
    """Write the landmark regressor, and record its hash and figures; EfficientNet-B0 goes to the --run folder instead."""
    from convert.landmarks import export

    ours = architecture == "edged"
    target = engines / "landmarks.onnx" if ours else run / f"{architecture}.onnx"
    written = export.export_landmarks(run, target, architecture)
    click.echo(f"wrote {target}: step {written.step}, parity {written.parity:.1e}\n")
    if ours:
        _record("landmarks", engines, written.sha256, export.report(data, target))


@main.command("compare-landmarks")
@data_option
@click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help="Where our model is.")
@click.option("--efficientnet", type=click.Path(dir_okay=False, path_type=Path), help="EfficientNet-B0's ONNX file.")
@click.option("--faces", type=click.IntRange(1), help="At most so many faces of each set.")
def compare_landmarks(data: Path, engines: Path, efficientnet: Path | None, faces: int | None) -> None:
    """Measure landmark regressors side by side on HELEN's and the videos' test faces, in our detector's boxes."""
    from convert.landmarks.compare import compared_sets, comparison, contestants

    rows = contestants(engines, efficientnet)
    click.echo(comparison(rows, compared_sets(data, faces)))


@main.command("fit-head-shape")
@data_option
@click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help="Where our models are.")
def fit_head_shape(data: Path, engines: Path) -> None:
    """Fit the 68-point head to annotated faces and heads of known pose, and write edged/analyse/pose/shape.py."""
    from convert.pose.sightings import fit

    click.echo(f"wrote {fit(data, engines)}")


@main.command("train-pose")
@training_options
@click.option("--steps", default=2000, show_default=True, help="Batches of 96 heads of 64 x 64 pixels.")
@click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help="Where the detector is.")
def train_pose(data: Path, out: Path, engines: Path, **choice: Any) -> None:
    """Train the learned head pose."""
    from convert.pose.evaluate import open_service
    from convert.pose.train import PoseTraining, train

    train(PoseTraining(data, out, detector=open_service(engines).detector, **choice))


@main.command("train-pose-heatmap")
@training_options
@click.option("--steps", default=1600, show_default=True, help="Batches of 64 drawn heads.")
def train_pose_heatmap(data: Path, **choice: Any) -> None:
    """Train the seed's heatmap pose, on projections of our head shape; no picture is needed."""
    from convert.pose.heatmap_train import HeatmapTraining, train

    train(HeatmapTraining(**choice))


@main.command("export-pose")
@export_options
@click.option("--heatmap-run", type=DataFolder, required=True, help="The --out folder of train-pose-heatmap.")
def export_pose(data: Path, run: Path, heatmap_run: Path, engines: Path) -> None:
    """Write both learned poses, and record their hashes and figures."""
    from convert.pose import export

    for name, sha256, report in export.export_both(data, run, heatmap_run, engines):
        _record(name, engines, sha256, report)


@main.command("compare-pose")
@data_option
@click.option("--engines", type=DataFolder, default=Path("engines"), show_default=True, help="Where our models are.")
def compare_pose(data: Path, engines: Path) -> None:
    """Measure all head poses side by side on the sequences kept back, bare and with drawn masks."""
    from convert.pose.evaluate import report

    click.echo(report(data, engines)[0])


@main.command("measure-eyes")
@data_option
def measure_eyes(data: Path) -> None:
    """Measure the eye reader and the aspect ratio by eye width: detector, landmarks and eyes together."""
    from convert.eyes.measure import size_table
    from edged.analyse.eyes import EyeClassifier
    from edged.analyse.landmarks import LandmarkRegressor
    from edged.detect import Wanted, make_detector
    from edged.inference import default_engines_dir, load_manifest, open_engine

    manifest = load_manifest(default_engines_dir())
    detector = make_detector("edged", lambda name: open_engine(manifest, name, 1), Wanted(15, 0.3))
    landmarks = LandmarkRegressor(open_engine(manifest, "landmarks", 1))
    eyes = EyeClassifier(open_engine(manifest, "eyes", 1), smallest_eye=1.0)
    click.echo(size_table(data, detector, landmarks, eyes))


@main.command("decide-mask")
@data_option
def decide_mask(data: Path) -> None:
    """Measure who should decide the mask state, by face size: the detector's branch, the classifier, or both."""
    from convert.mask.decide import decision_table, find_faces
    from edged.assembly import load_models
    from edged.config import ModelsConfig

    models = load_models(ModelsConfig(detector="edged", smallest_face=15, least_score=0.1))
    click.echo(decision_table(find_faces(data, models.detector, models.judge)))


@main.command()
@data_option
@click.option("--all", "everything", is_flag=True, help="All of masks853, not only the part held out from training.")
@click.option("--pictures", type=click.IntRange(1), help="At most so many pictures.")
@click.option("--only", multiple=True, metavar="NAME", help="Only detectors whose name begins so; may be repeated.")
@click.option("--smallest-face", default=15.0, show_default=True, help="What edged's detectors look for, in pixels.")
@click.option("--threads", default=1, show_default=True, help="Threads of each detector.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
def compare(data: Path, everything: bool, pictures: int | None, as_json: bool, **choice: Any) -> None:
    """Measure all detectors that are there, ours and others', side by side on masks853."""
    from convert.compare import Choice, compare, contestants, pictures_of, report

    chosen = pictures_of(data, everything, pictures)
    rivals = contestants(data, Choice(**choice))
    click.echo(report(compare(rivals, chosen), chosen, as_json))


@main.command("train-seed-classifier")
@training_options
@click.option("--architecture", type=click.Choice(["resnet50", "xception", "mobilenet"]), required=True)
@click.option("--size", default=96, show_default=True, help="Pixels a side; the seed's is 224, for who has a GPU.")
@click.option("--steps", default=3200, show_default=True, help="Batches of 32 faces.")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keras weights without the top to start from, as ImageNet's.  [default: a random start]",
)
@click.option(
    "--crops", type=Folder, help="Faces cut by an earlier training with this seed.  [default: OUT/crops-SEED]"
)
def train_seed_classifier(data: Path, out: Path, crops: Path | None, seed: int, **choice: Any) -> None:
    """Train one of the seed's mask classifiers on the data, samples and split of ours."""
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.train import SeedTraining, train

    train(SeedTraining(data=data, out=out, crops=crops or out / f"crops-{seed}", seed=seed, **choice))


@main.command("compare-classifiers")
@data_option
@click.option(
    "--run", "runs", type=DataFolder, multiple=True, help="A seed classifier's --out folder; may be repeated."
)
def compare_classifiers(data: Path, runs: tuple[Path, ...]) -> None:
    """Measure our mask classifier and trained seed classifiers side by side on held-out faces."""
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.compare import compare_runs

    click.echo(compare_runs(data, runs))


@main.command("keras")
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--classes", required=True, metavar="A,B,C", help="What its outputs stand for: correct, incorrect, none.")
@click.option("--pixels", type=click.Choice(["0..255", "0..1", "-1..1", "resnet50", "torch"]), required=True)
@click.option("--colours", type=click.Choice(["rgb", "bgr"]), required=True, help="Which colour it takes first.")
@click.option("--logits", is_flag=True, help="Its outputs are logits, not probabilities.")
@click.option("--golden", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="A face.")
@click.option(
    "--golden-state", type=click.Choice(["correct", "incorrect", "none"]), required=True, help="How it is worn."
)
@click.option("--golden-box", type=float, nargs=4, metavar="X1 Y1 X2 Y2", help="Where it is, in a larger picture.")
@click.option("--licence", required=True, help="The terms of the model.")
@click.option("--training-data", required=True, help="What it was trained on, and its terms.")
@click.option("--engines", type=Folder, required=True, help="The folder that gets the model and its manifest entry.")
@click.option("--name", default="mask", show_default=True, help="Its name there; the product takes `mask`.")
@click.option("--replace", is_flag=True, help="Take the place of the model of that name.")
def keras_model(engines: Path, name: str, replace: bool, **said: Any) -> None:
    """Take MODEL, a mask classifier of your own as a .keras file, into an engines folder of your own.

    It is written as ONNX only when it judges the golden picture as you say, and ONNX Runtime agrees with Keras. Copy
    edged's engines folder, give the copy to --engines, and point EDGED_ENGINES to it.
    """
    from convert.classifiers.backend import load_keras

    load_keras()
    from convert.classifiers.adopt import adopt, claim_of

    written = adopt(claim_of(**said), engines, name, replace)
    click.echo(f"wrote {engines / name}.onnx, sha256 {written.sha256}, parity {written.parity:.1e}")


main.add_command(fp16)
main.add_command(fp16_figures)


def run() -> None:
    """Start, turning errors raised on purpose into one line."""
    try:
        main(standalone_mode=True)
    except EdgedError as error:
        print(f"convert: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    run()
