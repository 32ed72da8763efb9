"""Makes one of the named networks from a user's own state dict, as a classifier that can be put to the test."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convert.classifiers.network import UserModel
from convert.classifiers.torch_architectures import architecture
from convert.torch_file import read_state_dict, require_same_arrays
from edged.errors import UsageError

OTHER_NAMES = {"last_linear": "fc"}
"""The last layer in Cadene's files, from which timm has its Xception."""


@contextmanager
def torch_classifier(path: Path, name: str, size: int) -> Iterator[UserModel]:
    """The network called `name` for pictures of `size` pixels a side, with the arrays of the state dict in `path`.

    It gives as many logits as the file's last layer has rows. Raise UsageError when the file is not a state dict of it.
    """
    chosen = architecture(name, size)
    state = _plain_head(read_state_dict(path), chosen.last)
    rows = state.get(f"{chosen.last}.weight")
    if rows is None or rows.ndim != 2:
        known = ", ".join(list(state)[:3])
        raise UsageError(
            f"{path}: not a state dict of {name} with {chosen.source} names: it has no last layer {chosen.last!r} "
            f"of one matrix; of its {len(state)} arrays the first are {known}"
        )
    with torch.device("meta"):  # nothing is drawn that is replaced at once
        network = chosen.build(len(rows))
    require_same_arrays(path, f"{name} with {chosen.source} names", state, network.state_dict())
    network.to_empty(device="cpu")
    network.load_state_dict({key: value.to(torch.get_default_dtype()) for key, value in state.items()}, strict=False)
    yield UserModel(_CalledLikeKeras(network), f"PyTorch state dict of {name}", size, size, True, len(rows))


def _plain_head(state: Mapping[str, Any], last: str) -> dict[str, Any]:
    """The arrays with the last layer under its own name, where fine-tuning put it into a Sequential, behind a Dropout."""
    named = {_renamed(key): value for key, value in state.items()}
    place = re.compile(rf"{re.escape(last.partition('.')[0])}((?:\.\d+)*)\.(weight|bias)")
    found = [(key, match) for key in named if (match := place.fullmatch(key))]
    if len({match[1] for _, match in found}) != 1:
        return named
    heads = {key: f"{last}.{match[2]}" for key, match in found}
    return {heads.get(key, key): value for key, value in named.items()}


def _renamed(key: str) -> str:
    first, dot, rest = key.partition(".")
    return f"{OTHER_NAMES.get(first, first)}{dot}{rest}"


class _CalledLikeKeras(nn.Module):
    """A PyTorch network where `FaceNetwork` expects Keras's call; whether it trains, it knows itself."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor, training: bool = False) -> Tensor:
        answer: Tensor = self.network(planes)
        return answer
