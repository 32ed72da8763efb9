"""The arrays that flow between stages, by what they hold; whoever only needs the names does without the 20 MB of NumPy."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image: TypeAlias = NDArray[np.uint8]
    """Height x width x 3, BGR, uint8."""

    Points: TypeAlias = NDArray[np.float32]
    """N x 2 pixel coordinates (x, y). Five-point order: image-left eye, image-right eye, nose tip,
    image-left mouth corner, image-right mouth corner."""

    Array: TypeAlias = NDArray[Any]
else:
    Image = Points = Array = Any

FARTHEST_PX = 1e6
"""No picture is that large, and float arithmetic is exact up to there."""
