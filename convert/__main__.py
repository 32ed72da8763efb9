"""The command line of training and conversion: `python -m convert --help`."""

import sys

import click

from convert.commands import (
    classifiers,
    detectors,
    engines,
    evaluate,
    eyes,
    faces,
    golden,
    landmarks,
    mask,
    passages,
    pose,
    rescorer,
)
from edged.errors import EdgedError, Unavailable

COMMANDS = (
    detectors.train_detector,
    detectors.gather_objects,
    detectors.label_people,
    detectors.export_detector,
    detectors.mtcnn,
    detectors.retinaface,
    detectors.compare,
    rescorer.train_rescorer,
    rescorer.export_rescorer,
    mask.train_mask,
    mask.train_mask_teacher,
    mask.export_mask,
    mask.decide_mask,
    classifiers.train_baseline_classifier,
    classifiers.export_baseline_classifier,
    classifiers.compare_classifiers,
    classifiers.keras,
    classifiers.torch,
    landmarks.train_landmarks,
    landmarks.export_landmarks,
    landmarks.compare_landmarks,
    pose.fit_head_shape,
    pose.train_pose,
    pose.train_pose_heatmap,
    pose.export_pose,
    pose.compare_pose,
    eyes.train_eyes,
    eyes.export_eyes,
    eyes.measure_eyes,
    faces.compare_faces,
    engines.fp16,
    engines.fp16_figures,
    engines.mean,
    engines.plan,
    engines.check,
    golden.golden,
    evaluate.evaluate,
    passages.passages,
)
"""A new command is a line here."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train, check and export edged's models. Libraries are imported only by the command that needs them."""


for command in COMMANDS:
    main.add_command(command)


def run() -> None:
    """Start, turning errors raised on purpose into one line."""
    try:
        main(standalone_mode=True)
    except EdgedError as error:
        print(f"convert: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("convert", "edged"):
            raise
        print(f"convert: {error.name} is not installed; use what `make setup-train` installs", file=sys.stderr)
        sys.exit(Unavailable.exit_code)


if __name__ == "__main__":
    run()
