"""One distance of several in any units: the average of their ranks, or of their places in the range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
RANKS, RANGES = "ranks", "ranges"


def combine(matrices: Sequence[Array], by: str) -> Array:
    """Average distances after each was brought to 0 to 1; the diagonal is 0.

    Args:
        matrices: One (T, T) for each distance, symmetric or not.
        by: ``ranks``: a pair's place among all pairs of two tasks, ties averaged, 0 for the nearest and 1 for
            the farthest; ``ranges``: ``(d - min) / (max - min)`` over these pairs. Where all are equal, both
            are 0.
    """
    size = len(matrices[0])
    pairs = ~np.eye(size, dtype=bool)
    scale = _ranks if by == RANKS else _ranges
    combined = np.zeros((size, size))
    combined[pairs] = np.mean([scale(matrix[pairs]) for matrix in matrices], axis=0)
    return combined


def _ranks(values: Array) -> Array:
    return _ranges(rankdata(values))


def _ranges(values: Array) -> Array:
    extent = np.ptp(values)
    scaled: Array = (values - values.min()) / extent if extent else np.zeros_like(values)
    return scaled
