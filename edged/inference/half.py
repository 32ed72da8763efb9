"""Rewrites an ONNX model in half precision: what TensorRT builds engines from, and what ONNX Runtime can check on a CPU.

TensorRT 10 takes each tensor's type from the model ("strongly typed"), and 11 knows nothing else. Its parsers refuse
an input of uint8 that anything but a Cast reads (NVIDIA/TensorRT issue 3985), so the Cast is moved to the very front.

ONNX Runtime's own converter was tried: five of six of its graphs are not sorted topologically, so `onnx.checker`
refuses them, and it leaves integer inputs as they are.
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edged.errors import ModelError

FULL_PRECISION = frozenset({"Exp", "Reciprocal", "Sigmoid", "Softmax"})
"""Operations kept in FP32, and with them what follows up to the outputs, unless one of `LARGE` follows: an exponential
turns an error of its input into a relative one of its output; sums of weighted places are points, of which FP16 knows
one in a thousand; and 1 + exp(x) forgets the small one. They work on a few numbers, so FP32 costs nothing."""

LARGE = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operations that the time is spent in."""

MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Identity"})
"""Operations that only move values: they may read floats where they read integers."""

ALWAYS_FLOAT = {"Resize": (1, 2)}
"""Inputs (by place) that ONNX requires in FP32 whatever the data's type: a region and scales."""

LARGEST = float(np.finfo(np.float16).max)

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def to_half(model: bytes, name: str, keep: Collection[str] = FULL_PRECISION) -> bytes:
    """The model with FP16 weights and activations; operations of the types `keep` and all inputs and outputs as before.

    The same model gives the same bytes. Raise ModelError when it has parts that cannot be converted.
    """
    graph = _Rewriter(_prepared(model, name), name, frozenset(keep))
    return graph.converted()


def to_float(model: bytes, name: str) -> bytes:
    """The model in FP32 as TensorRT takes it: like `to_half`, but only the Casts of integer inputs move to the front."""
    return _bytes(_prepared(model, name), name)


def _prepared(data: bytes, name: str) -> onnx.ModelProto:
    model = _parse(data, name)
    _check_plain(model, name)
    del model.graph.value_info[:]  # types of before the Casts moved, where an optimiser wrote them down
    _constants_to_initializers(model.graph)
    _casts_to_the_front(model.graph, name)
    return model


def _bytes(model: onnx.ModelProto, name: str) -> bytes:
    """Check and write."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # noqa: BLE001  the checker's and the shape inference's own classes
        line = " ".join(str(error).split())[:200]
        raise ModelError(f"model {name}: cannot be converted to half precision ({line})") from None
    return bytes(model.SerializeToString(deterministic=True))


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Constant nodes and initialisers say the same in two ways; keep the second."""
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
        else:
            kept.append(node)
    _replace_nodes(graph, kept)


def _casts_to_the_front(graph: onnx.GraphProto, name: str) -> None:
    """Let a Cast to FP32 read every integer input first, in place of the Casts further on."""
    for value in graph.input:
        readers = [node for node in graph.node if value.name in node.input]
        if value.type.tensor_type.elem_type in (_FLOAT, _HALF) or all(node.op_type == "Cast" for node in readers):
            continue
        moved = {value.name}
        casts: dict[str, str] = {}
        kept = []
        for node in graph.node:
            if not moved.intersection(node.input):
                kept.append(node)
            elif node.op_type == "Cast":
                if _attribute(node, "to") != _FLOAT:
                    raise ModelError(f"model {name}: casts input {value.name} to something else than float32")
                casts[node.output[0]] = node.input[0]
            elif node.op_type in MOVES:
                moved.update(node.output)
                kept.append(node)
            else:
                raise ModelError(
                    f"model {name}: {node.op_type} reads the integers of input {value.name}; cast them first"
                )
        _replace_nodes(graph, kept)
        front = f"{value.name}__float"
        instead = {made: front if source == value.name else source for made, source in casts.items()}
        _rename_inputs(graph, {**instead, value.name: front})
        graph.node.insert(0, onnx.helper.make_node("Cast", [value.name], [front], name=f"{front}__cast", to=_FLOAT))


def _rename_inputs(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        for place, used in enumerate(node.input):
            if used in names:
                node.input[place] = names[used]


def _replace_nodes(graph: onnx.GraphProto, nodes: Collection[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


class _Rewriter:
    """Walks the nodes in order; each tensor exists in the precision that its maker gave it, and is cast where needed."""

    def __init__(self, model: onnx.ModelProto, name: str, keep: frozenset[str]) -> None:
        self._model, self._name, self._keep = model, name, keep
        graph = model.graph
        self._types = _types_of(model, name)
        self._tail = _tail(graph, keep)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._outputs = {value.name for value in graph.output}
        self._made: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._halves: list[onnx.TensorProto] = []

    def converted(self) -> bytes:
        """The finished model."""
        graph = self._model.graph
        for value in graph.input:
            self._made[value.name, value.type.tensor_type.elem_type] = value.name
        for node in graph.node:
            self._add(onnx.NodeProto.FromString(node.SerializeToString()))
        used = {name for node in self._nodes for name in node.input}
        weights = [t for t in [*graph.initializer, *self._halves] if t.name in used or t.name in self._outputs]
        weights = [onnx.TensorProto.FromString(t.SerializeToString()) for t in weights]
        del graph.initializer[:]
        graph.initializer.extend(weights)
        _replace_nodes(graph, self._nodes)
        return _bytes(self._model, self._name)

    def _add(self, node: onnx.NodeProto) -> None:
        kind = _HALF if self._may_be_half(node) else _FLOAT
        exempt = ALWAYS_FLOAT.get(node.op_type, ())
        if node.op_type == "Cast":
            self._retarget(node, kind)
        else:
            for place, used in enumerate(node.input):
                if self._types.get(used) == _FLOAT:
                    node.input[place] = self._as(used, _FLOAT if place in exempt else kind)
        late = []
        for place, made in enumerate(node.output):
            if self._types.get(made) != _FLOAT:
                continue
            if kind == _HALF and made in self._outputs:
                node.output[place] = f"{made}__half"
                late.append(
                    onnx.helper.make_node("Cast", [node.output[place]], [made], name=f"{made}__cast", to=_FLOAT)
                )
                self._made[made, _FLOAT] = made
            self._made[made, kind] = node.output[place]
        self._nodes += [node, *late]

    def _retarget(self, node: onnx.NodeProto, kind: int) -> None:
        """Let a Cast to FP32 give FP16 at once."""
        if _attribute(node, "to") == _FLOAT:
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("to", kind))

    def _may_be_half(self, node: onnx.NodeProto) -> bool:
        if node.op_type in self._keep or not self._tail.isdisjoint(node.output):
            return False
        exempt = ALWAYS_FLOAT.get(node.op_type, ())
        weights = (self._weights.get(used) for place, used in enumerate(node.input) if place not in exempt)
        floats = (numpy_helper.to_array(w) for w in weights if w is not None and w.data_type == _FLOAT)
        return all(_fits(array) for array in floats)

    def _as(self, name: str, kind: int) -> str:
        """The tensor `name` in precision `kind`, cast once for all who ask."""
        if (name, kind) in self._made:
            return self._made[name, kind]
        weight = self._weights.get(name)
        if weight is not None:
            made = name if kind == _FLOAT else f"{name}__half"
            if kind == _HALF:
                half = numpy_helper.to_array(weight).astype(np.float16)
                self._halves.append(numpy_helper.from_array(half, made))
        else:
            other = self._made[name, _HALF if kind == _FLOAT else _FLOAT]
            made = f"{name}__{'half' if kind == _HALF else 'float'}"
            self._nodes.append(onnx.helper.make_node("Cast", [other], [made], name=f"{made}__cast", to=kind))
        self._made[name, kind] = made
        return made


def _tail(graph: onnx.GraphProto, keep: Collection[str]) -> set[str]:
    """What is computed from operations of the types `keep`, and goes into none of `LARGE`."""
    large: set[str] = set()
    for node in reversed(graph.node):
        if node.op_type in LARGE or not large.isdisjoint(node.output):
            large.update(node.input)
    tail: set[str] = set()
    for node in graph.node:
        if large.isdisjoint(node.output) and (node.op_type in keep or not tail.isdisjoint(node.input)):
            tail.update(node.output)
    return tail


def _fits(array: NDArray[Any]) -> bool:
    return bool(np.abs(array).max(initial=0) <= LARGEST)


def _types_of(model: onnx.ModelProto, name: str) -> dict[str, int]:
    """The element type of every tensor."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    except Exception as error:  # noqa: BLE001
        raise ModelError(f"model {name}: its types cannot be inferred ({' '.join(str(error).split())[:200]})") from None
    values: Iterator[Any] = (v for group in (inferred.input, inferred.output, inferred.value_info) for v in group)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def _parse(data: bytes, name: str) -> onnx.ModelProto:
    """The model of `data`, which must have been checked by its hash before. Raise ModelError when it is none."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"model {name}: not an ONNX file; restore it") from None
    return model


def _check_plain(model: onnx.ModelProto, name: str) -> None:
    """Raise ModelError for what a model of ours never has, and what others were attacked through.

    External data names files that a parser would open, also such as climb out of the folder (CVE-2022-25882,
    CVE-2024-27318); so it is refused wherever it stands, not followed.
    """
    graph = model.graph
    for tensor in (*graph.initializer, *(t for node in graph.node for a in node.attribute for t in _tensors(a))):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise ModelError(
                f"model {name}: tensor {tensor.name!r} lies outside the file; save the model as a single file"
            )
    if graph.sparse_initializer:
        raise ModelError(f"model {name}: has sparse weights, which are not supported")
    if model.functions:
        raise ModelError(f"model {name}: has functions of its own, which are not supported; export it without")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(f"model {name}: has operator {node.domain}.{node.op_type}, which is not ONNX's own")
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise ModelError(
                f"model {name}: {node.op_type} has a graph inside, which is not supported; export it without"
            )


def _tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    """All that stand in it."""
    yield from (attribute.t, *attribute.tensors)
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        yield from (sparse.values, sparse.indices)
