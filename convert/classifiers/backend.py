"""Gives Keras on PyTorch: the backend whose models our training loop and our ONNX writer take as they are."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edged.errors import Unavailable, UsageError

REMEDY = "install it with `pip install 'edged[keras]'` (Python 3.11 or newer)"


def load_keras() -> Any:
    """The module `keras`. Raise Unavailable without it, and UsageError when the user's settings choose another backend."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise Unavailable(f"Keras on PyTorch cannot be loaded ({error}); {REMEDY}") from None
    backend = keras.backend.backend()
    if backend != "torch":
        raise UsageError(f"Keras runs on {backend!r}; set the environment variable KERAS_BACKEND=torch")
    return keras


@contextmanager
def building(keras: Any, policy: str) -> Iterator[None]:
    """Layers made inside compute as `policy` says ("float32", "mixed_bfloat16") on planes [batch, channels, H, W].

    Names of layers count from the start again, so that the same calls give the same names, which checkpoints rely on.
    """
    keras.utils.clear_session()
    layout, before = keras.config.image_data_format(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_image_data_format(layout)
        keras.config.set_dtype_policy(before)
