"""The baseline mask classifiers: which Keras architecture, which head, which pixels, what of given weights stays as it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.classifiers.backend import building, load_keras
from convert.classifiers.network import FaceNetwork, Pixels
from edged.errors import UsageError
from edged.types import JUDGED_STATES


@dataclass(frozen=True)
class Architecture:
    """One of the seed's networks. Without given weights everything is trained from a random start."""

    application: str
    """Its name in `keras.applications`."""
    smallest: int
    """Pixels a side that Keras builds it for at least."""
    hidden: tuple[int, ...]
    """Widths of the fully connected layers between the averaged map and the three logits."""
    trained: str
    """With given weights only the layers whose names begin so, and the head, are trained; empty: all."""
    peak_rate: float
    """Adam's rate with given weights, as the baseline had it."""
    rgb: bool
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]

    def pixels(self, size: int) -> Pixels:
        """What `keras.applications` feeds this network."""
        return Pixels(size, size, self.rgb, self.mean, self.scale)


ONE = (1.0, 1.0, 1.0)
HALF = (127.5, 127.5, 127.5)

ARCHITECTURES = {
    # The baseline counts 24,558,146 parameters, 16,014,850 of them trained. That is ResNet-50 with fully connected layers of
    # 512 and of 2 (1,050,114 parameters), of which the last stage (14,964,736) and these are trained.
    "resnet50": Architecture("ResNet50", 32, (512,), "conv5_", 1e-3, False, (103.939, 116.779, 123.68), ONE),
    # "A modified final fully connected layer", everything trained, Adam at 1e-4.
    "xception": Architecture("Xception", 71, (), "", 1e-4, True, HALF, HALF),
    # Named for telephones, without a word on its head: the plainest one. MobileNet of arXiv 1704.04861, as the baseline cites.
    "mobilenet": Architecture("MobileNet", 32, (), "", 1e-3, True, HALF, HALF),
}


def build(name: str, size: int, weights: Path | None = None, policy: str = "float32") -> FaceNetwork:
    """The network called `name` for pictures of `size` x `size` pixels, giving three logits.

    `weights` is a Keras file of the architecture without its top (ImageNet's, for one); without it the start is random,
    decided by `keras.utils.set_random_seed`. Raise UsageError for a size that is too small, or weights that do not fit.
    """
    keras, chosen = load_keras(), ARCHITECTURES[name]
    if size < chosen.smallest:
        raise UsageError(f"--size {size}: {chosen.application} needs at least {chosen.smallest} pixels a side")
    with building(keras, policy):
        application = getattr(keras.applications, chosen.application)
        base = application(include_top=False, weights=None, input_shape=(3, size, size), pooling="avg")
        if weights is not None:
            _load(base, weights)
            _freeze(base, chosen.trained)
        value = base.output
        for width in chosen.hidden:
            value = keras.layers.Dense(width, activation="relu", name=f"hidden{width}")(value)
        logits = keras.layers.Dense(len(JUDGED_STATES), dtype="float32", name="logits")(value)
        return FaceNetwork(keras.Model(base.input, logits), chosen.pixels(size))


def _load(base: Any, weights: Path) -> None:
    if not weights.is_file():
        raise UsageError(f"{weights}: not found; name a file of Keras weights (.weights.h5, or .h5) without the top")
    try:
        base.load_weights(str(weights))
    except Exception as error:  # noqa: BLE001  Keras and h5py raise a dozen unrelated classes
        problem = str(error).splitlines()[0]
        raise UsageError(f"{weights}: not weights of {base.name} without its top ({problem})") from None


def _freeze(base: Any, trained: str) -> None:
    for layer in base.layers:
        layer.trainable = layer.name.startswith(trained)
