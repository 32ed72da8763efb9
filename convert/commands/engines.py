"""The commands that make engines of models, and see what that costs: FP16, TensorRT plans, and whether all agree."""

import json
from pathlib import Path

import click

from convert.commands.options import ExistingFile, File, data_option
from edged.errors import Failed

as_option = click.option(
    "--as", "stands_for", metavar="NAME", help="The model of the manifest whose inputs and outputs a file has."
)


@click.command("fp16")
@click.argument("model", type=ExistingFile)
@click.option("--out", type=File, required=True, help="Where the FP16 model goes.")
@click.option("--float", "full", is_flag=True, help="FP32 as TensorRT takes it: only the Casts of inputs are moved.")
def fp16(model: Path, out: Path, full: bool) -> None:
    """Write MODEL, an ONNX file, in half precision; inputs and outputs stay as they are."""
    from convert.whole_file import write_whole
    from edged.inference.half import to_float, to_half

    converted = (to_float if full else to_half)(model.read_bytes(), model.stem)
    write_whole(out, converted)
    click.echo(f"wrote {out}, {len(converted)} bytes")


@click.command("mean")
@click.argument("first", type=ExistingFile)
@click.argument("second", type=ExistingFile)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="How much SECOND counts.")
@click.option("--out", type=File, required=True, help="Where the model goes.")
def mean(first: Path, second: Path, share: float, out: Path) -> None:
    """Write the mean of the weights of two ONNX files of one network, as before and after a further training."""
    from convert import mean as weights
    from convert.whole_file import write_whole

    write_whole(out, weights.mean(first.read_bytes(), second.read_bytes(), share))
    click.echo(f"wrote {out}")


@click.command("fp16-figures")
@data_option
@click.option("--model", "only", multiple=True, metavar="NAME", help="Only this detector or model; may be repeated.")
@click.option("--halve-all", is_flag=True, help="Leave no operation in FP32, to see which need it; records nothing.")
def fp16_figures(data: Path, only: tuple[str, ...], halve_all: bool) -> None:
    """Measure every model's figure of merit in FP32 and FP16, and write it into its card.

    Fails when a model loses more than 0.5 %; that too stands in the card.
    """
    from convert.fp16_figures import MOST_LOST, measure, record, table
    from edged.inference import default_engines_dir, load_manifest
    from edged.inference.half import FULL_PRECISION

    manifest = load_manifest(default_engines_dir())
    lost = []
    for figures in measure(data, manifest, only, () if halve_all else FULL_PRECISION):
        click.echo(f"{figures.name}\n\n{table(figures.rows)}\n")
        lost += [f"{figures.name}, {row.figure}" for row in figures.rows if row.lost > MOST_LOST]
        if not halve_all:
            record(figures, manifest)
    if lost:
        raise Failed(f"half precision costs more than {MOST_LOST:.1%}: {'; '.join(lost)}")


@click.command("plan")
@click.argument("model")
@click.option("--out", type=File, help="Where the plan goes.  [default: NAME.plan]")
@as_option
@click.option("--precision", type=click.Choice(["fp16", "fp32"]), help="[default: as the manifest says]")
@click.option("--workspace", type=click.IntRange(1), default=256, show_default=True, help="Scratch memory, in MiB.")
@click.option("--dla-core", type=click.IntRange(0, 3), help="Build for this core of a Jetson's accelerator.")
def plan(
    model: str, out: Path | None, stands_for: str | None, precision: str | None, workspace: int, dla_core: int | None
) -> None:
    """Build a TensorRT plan of MODEL, a name in the manifest or an ONNX file, for the GPU of this machine.

    edged takes no plan from anybody: what it runs it builds itself, see `edged engines build`. Exit code 69 without
    TensorRT.
    """
    from convert.model_file import find_model
    from convert.plan import make_plan, require_toolkit, shown_progress
    from convert.whole_file import write_whole
    from edged.inference import default_engines_dir, load_manifest
    from edged.inference.tensorrt import BuildOptions

    found = find_model(model, load_manifest(default_engines_dir()), stands_for)
    toolkit = require_toolkit()
    options = BuildOptions(
        "fp32" if (precision or found.entry.precision) == "fp32" else "fp16", workspace << 20, dla_core
    )
    with shown_progress(found.name) as progress:
        made = make_plan(toolkit, found, options, progress)
    target = out or Path(f"{found.name}.plan")
    write_whole(target, made)
    made_for = f"{options.precision}, TensorRT {toolkit.trt.__version__}, {toolkit.gpu.name}"
    click.echo(f"wrote {target}, {len(made)} bytes: {made_for}")


@click.command("check")
@click.argument("model")
@as_option
@click.option("--reference", type=File, help="The FP32 ONNX file to hold it against.  [default: the manifest's]")
@click.option(
    "--picture", "pictures", type=ExistingFile, multiple=True, help="In place of the golden ones; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of the table.")
def check(
    model: str, stands_for: str | None, reference: Path | None, pictures: tuple[Path, ...], as_json: bool
) -> None:
    """Compare what MODEL answers in FP32, in FP16, and on TensorRT where that is, on the golden pictures.

    MODEL is a name in the manifest, or an ONNX file. Exit code 1 when one that edged would use does not agree.
    """
    from convert.check import check_model
    from convert.model_file import find_model
    from edged.inference import default_engines_dir, load_manifest

    manifest = load_manifest(default_engines_dir())
    found = find_model(model, manifest, stands_for)
    against = find_model(str(reference) if reference else found.name, manifest, found.name)
    report = check_model(found, against, pictures)
    click.echo(json.dumps(report.record(), indent=1) if as_json else report.text())
    if not report.agrees:
        raise Failed(f"model {found.name}: does not agree with {against.path}")
