"""Reads PyTorch state dicts as data: arrays by name out of one whole file, and nothing that could run code."""

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convert.whole_file import read_whole, whole_archive
from edged.errors import Unavailable, UsageError
from edged.inference.manifest import MAX_MODEL_BYTES

LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
"""How files of PyTorch before 1.6 begin. They hold no archive; the still older ones, which are tar archives, begin otherwise
and are refused: before PyTorch 2.6 reading one ran what it hides (CVE-2025-32434)."""
MAX_INDEX_BYTES = 16 * 1024 * 1024
"""Of the pickled list of arrays inside."""
NESTED = ("state_dict", "model_state_dict", "model")
"""Where checkpoints of trainings keep the state dict."""
REMEDY = "save model.state_dict() with torch.save"
MOST_NAMED = 3

_GLOBAL = re.compile(r"GLOBAL (\S+)")
_OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|[\x00-\x1f]")


def load_torch() -> Any:
    """The module `torch`. Raise Unavailable without it."""
    try:
        import torch
    except ImportError:
        raise Unavailable(
            "PyTorch, which reads the weights, is not installed; use what `make setup-train` installs"
        ) from None
    return torch


def read_state_dict(path: Path, most_bytes: int = MAX_MODEL_BYTES) -> dict[str, Any]:
    """The tensors in `path` by name, without a leading `module.`, on the CPU; finite, and together of at most `most_bytes`.

    A training's checkpoint is taken too, where its state dict has one of the usual names. Raise UsageError for anything
    else: pickled models, TorchScript, archives with odd members, damaged files, other things than plain arrays.
    """
    torch = load_torch()
    data = read_whole(path, most_bytes, "name a file of a PyTorch state dict")
    _require_plain_file(path, data, most_bytes)
    try:
        # What was looked at is what is loaded, whatever happens to `path` meanwhile. PyTorch's warnings are for its own users.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  torch raises a dozen unrelated classes, some advising to trust the file
        raise _unloadable(path, str(error)) from None
    state = _state_dict(content, torch)
    if state is None:
        raise UsageError(f"{path}: not a state dict of tensors and nothing else; {REMEDY}")
    _require_numbers(path, state, most_bytes, torch)
    return {name.removeprefix("module."): value for name, value in state.items()}


def require_same_arrays(path: Path, what: str, state: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise UsageError, saying which and how many, unless `state` has the arrays of `wanted` in their shapes.

    How many batches a normalisation has seen matters to training alone, so it may be missing.
    """
    missing = [name for name in wanted if name not in state and not name.endswith(".num_batches_tracked")]
    unknown = [name for name in state if name not in wanted]
    odd = [
        f"{name} is {_shape(state[name])} and not {_shape(wanted[name])}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    problems = [
        f"{len(names)} {words} ({', '.join(names[:MOST_NAMED])}{', …' * (len(names) > MOST_NAMED)})"
        for names, words in ((missing, "arrays missing"), (unknown, "unknown"), (odd, "of another shape"))
        if names
    ]
    if problems:
        raise UsageError(f"{path}: not a state dict of {what}, of {len(wanted)} arrays: {'; '.join(problems)}")


def _shape(value: Any) -> str:
    return " x ".join(map(str, value.shape)) or "a number"


def _require_plain_file(path: Path, data: bytes, most_bytes: int) -> None:
    """One of the two kinds of file that torch.save writes, whole as far as can be seen without unpickling."""
    if data.startswith(LEGACY):
        return
    if not data.startswith(b"PK"):
        raise UsageError(f"{path}: not a state dict of tensors, and no file of torch.save (or too old a one); {REMEDY}")
    with whole_archive(path, data, "file of torch.save", "copy it anew") as archive:
        _require_members(path, archive.infolist(), most_bytes)
        damaged = archive.testzip()
    if damaged is not None:
        raise UsageError(f"{path}: not a whole file of torch.save ({damaged} is damaged); copy it anew")


def _require_members(path: Path, members: list[zipfile.ZipInfo], most_bytes: int) -> None:
    """Names that stay inside the one folder that there is, plain bytes, and no program."""
    names = [member.filename for member in members]
    outside = [name for name in names if _OUTSIDE.search(name)]
    if outside:
        raise UsageError(f"{path}: its member {outside[0]!r} would lie outside the archive; {REMEDY}")
    inner = [name.partition("/")[2] for name in names]
    if "data.pkl" not in inner or len({name.partition("/")[0] for name in names}) != 1 or len({*names}) != len(names):
        raise UsageError(f"{path}: not a state dict of tensors, but an archive of other things; {REMEDY}")
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise UsageError(f"{path}: a TorchScript model is a program, not data; {REMEDY}")
    index = max(member.file_size for member in members if member.filename.endswith("/data.pkl"))
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or index > MAX_INDEX_BYTES or sum(member.file_size for member in members) > most_bytes:
        raise UsageError(f"{path}: its members are packed, or larger than a model's may be; {REMEDY}")


def _unloadable(path: Path, said: str) -> UsageError:
    """PyTorch's reasons are pages that advise to trust the file; ours is a line."""
    found = _GLOBAL.search(said)
    if found:
        return UsageError(f"{path}: not a state dict of tensors: a pickled {found[1]} is a program, not data; {REMEDY}")
    return UsageError(f"{path}: not a state dict of tensors, or not a whole file; {REMEDY}")


def _state_dict(content: Any, torch: Any) -> Mapping[str, Any] | None:
    """The tensors by name, in `content` itself or in a checkpoint; None where there are none, or other things among them."""
    if not isinstance(content, dict):
        return None
    for candidate in (content, *(content.get(name) for name in NESTED)):
        if isinstance(candidate, dict) and candidate:
            tensors = all(isinstance(v, torch.Tensor) and isinstance(k, str) for k, v in candidate.items())
            if tensors:
                return candidate
    return None


def _require_numbers(path: Path, state: Mapping[str, Any], most_bytes: int, torch: Any) -> None:
    """Dense, real, finite arrays of the size that they take in the file: a view may repeat one number a million times."""
    odd = [
        name
        for name, value in state.items()
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.device.type != "cpu"
    ]
    if odd:
        raise UsageError(f"{path}: {odd[0]!r} is no plain array of real numbers; {REMEDY}")
    if sum(value.numel() * value.element_size() for value in state.values()) > most_bytes:
        raise UsageError(f"{path}: its arrays are larger than a model's may be, {most_bytes >> 20} MiB; {REMEDY}")
    wild = [name for name, value in state.items() if not bool(torch.isfinite(value).all())]
    if wild:
        raise UsageError(f"{path}: {wild[0]!r} holds numbers that are not finite; the training failed, take another")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
