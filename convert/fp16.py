"""The commands `fp16` and `fp16-figures`: models in half precision, and what that costs them."""

from pathlib import Path

import click

from edged.errors import Failed

File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("fp16")
@click.argument("model", type=File)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where the FP16 model goes."
)
@click.option("--float", "full", is_flag=True, help="FP32 as TensorRT takes it: only the Casts of inputs are moved.")
def fp16(model: Path, out: Path, full: bool) -> None:
    """Write MODEL, an ONNX file, in half precision; inputs and outputs stay as they are."""
    from edged.inference.half import to_float, to_half

    converted = (to_float if full else to_half)(model.read_bytes(), model.stem)
    partial = out.with_suffix(".partial")
    partial.write_bytes(converted)
    partial.replace(out)
    click.echo(f"wrote {out}, {len(converted)} bytes")


@click.command("fp16-figures")
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), envvar="EDGED_DATA", required=True
)
@click.option("--only", multiple=True, metavar="NAME", help="Only these models; may be repeated.")
@click.option("--halve-all", is_flag=True, help="Leave no operation in FP32, to see which need it.")
def fp16_figures(data: Path, only: tuple[str, ...], halve_all: bool) -> None:
    """Measure every model's figure of merit in FP32 and FP16; fail if one loses more than 0.5 %."""
    from convert.fp16_figures import MOST_LOST, measure, table
    from edged.inference import default_engines_dir, load_manifest
    from edged.inference.half import FULL_PRECISION

    rows = measure(data, load_manifest(default_engines_dir()), only, () if halve_all else FULL_PRECISION)
    click.echo(table(rows))
    worse = [f"{row.model}, {row.figure}" for row in rows if row.lost > MOST_LOST]
    if worse:
        raise Failed(f"half precision costs more than {MOST_LOST:.1%}: {'; '.join(worse)}")
