"""Reads how an AVIF picture must be turned and mirrored, which OpenCV leaves undone."""

from collections.abc import Iterator

import numpy as np

from edged.types import Image

Properties = dict[bytes, int]


def upright_avif(image: Image, data: bytes) -> Image:
    """The picture turned and mirrored as the file's own properties say; `data` is the file. Others come back as they are."""
    if data[4:8] != b"ftyp":
        return image
    properties = _properties(data)
    turned = np.rot90(image, properties.get(b"irot", 0) & 3)  # quarters, anticlockwise
    if b"imir" in properties:
        turned = turned[:, ::-1] if properties[b"imir"] & 1 else turned[::-1]
    return np.ascontiguousarray(turned)


def _properties(data: bytes) -> Properties:
    """The first byte of each property: those of the picture, since of its other parts only transparency has any, the same."""
    for path in ((b"meta", 4), (b"iprp", 0), (b"ipco", 0)):
        name, skipped = path
        data = next((body[skipped:] for kind, body in _boxes(data) if kind == name), b"")
    return {kind: body[0] for kind, body in _boxes(data) if body}


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and content of each box of ISO/IEC 14496-12, as far as they are whole."""
    at = 0
    while at + 8 <= len(data):
        length, begin = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, begin = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if (length and length < begin) or end > len(data):
            return
        yield data[at + 4 : at + 8], data[at + begin : end]
        at = end
