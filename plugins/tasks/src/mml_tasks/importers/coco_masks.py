"""From the annotations of COCO to masks: polygons, and run lengths as lists or as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mml_core.api import CreationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SegmentationError(CreationError):
    """A segmentation of an annotation cannot be decoded."""


def region(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels a segmentation covers, (H, W).

    Args:
        segmentation: A list of polygons (x, y, x, y, …), which are joined; or ``{"counts", "size"}`` with run
            lengths, column by column, beginning with what is not covered.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Raises:
        SegmentationError: It is none of these, or of another extent.
    """
    if isinstance(segmentation, Mapping):
        return _from_runs(segmentation, height, width)
    if isinstance(segmentation, Sequence) and not isinstance(segmentation, str):
        return _from_polygons(segmentation, height, width)
    raise SegmentationError(f"it is {type(segmentation).__name__}, neither polygons nor run lengths")


def _from_polygons(polygons: Sequence[Any], height: int, width: int) -> NDArray[np.bool_]:
    """A pixel is covered where its centre is: that of the first is at (0.5, 0.5)."""
    import numpy as np
    from skimage.draw import polygon

    covered = np.zeros((height, width), dtype=np.bool_)
    for points in polygons:
        try:
            corners = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            raise SegmentationError("a polygon is no list of x, y, x, y, …") from None
        if len(corners) < 3 or not np.isfinite(corners).all():
            raise SegmentationError(f"a polygon has {len(corners)} finite corners, at least 3 are needed")
        rows, columns = polygon(corners[:, 1] - 0.5, corners[:, 0] - 0.5, covered.shape)
        covered[rows, columns] = True
    return covered


def _from_runs(segmentation: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    import numpy as np

    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise SegmentationError(f"its run lengths are of size {size}, the image is {height} x {width}")
    runs = counts_of(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(isinstance(run, int) and run >= 0 for run in runs):
        raise SegmentationError("its counts are neither whole numbers nor text of run lengths")
    if sum(runs) != height * width:
        raise SegmentationError(
            f"its run lengths sum up to {sum(runs)}, the image has {height * width} pixels"
        )
    covered = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return covered.reshape(width, height).T


def counts_of(text: str) -> list[int]:
    """Decode run lengths that COCO's API has compressed to text.

    Each number is in groups of five bits, lowest first, one character (from ``0``) each; the sixth bit says
    that more follow, and the highest bit of the last group is the sign. After the third, a number
    is the difference to the run length two before.

    Raises:
        SegmentationError: The text ends within a number, or holds other characters.
    """
    counts: list[int] = []
    number, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise SegmentationError(f"its counts hold the character {character!r}, which encodes nothing")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number, shift = 0, 0
    if shift:
        raise SegmentationError("its counts end within a number")
    return counts
