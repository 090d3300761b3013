"""Distances between the outlines of two masks."""

from __future__ import annotations

import numpy as np

from mml_core.learning.statistics import Array


def hausdorff95(predicted: Array, target: Array) -> float:
    """Return the 95th percentile of the Hausdorff distance of two masks of one class, as MONAI computes it.

    For each mask the distances of its outline to the other's are taken, and the larger of the two percentiles
    is returned. The outline is what an erosion by a cross takes away; pixels at the border of the image
    belong to it.

    Args:
        predicted: Where the class is found, (H, W), bool.
        target: Where it is.

    Returns:
        Pixels; NaN where both masks are empty, infinity where one is.
    """
    if not predicted.any() and not target.any():
        return np.nan
    if not predicted.any() or not target.any():
        return np.inf
    from scipy.ndimage import binary_erosion
    from scipy.spatial import KDTree

    rows, columns = np.nonzero(predicted | target)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    outlines = [
        np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64)
        for mask in (predicted[window], target[window])
    ]
    there = KDTree(outlines[1], leafsize=32).query(outlines[0])[0]
    back = KDTree(outlines[0], leafsize=32).query(outlines[1])[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))
