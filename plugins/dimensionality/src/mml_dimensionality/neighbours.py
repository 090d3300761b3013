"""Distances to the nearest neighbours, exact also where samples are almost equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BLOCK = 2**23
"""Numbers that are held at a time, 64 MiB of them."""
_SPARE = 8
"""Further candidates whose distances are computed exactly, as rounding may change the order."""


def without_duplicates(points: NDArray[Any]) -> Array:
    """Return each different point once, in the order of their first occurrence.

    A point that occurs twice has a neighbour at distance zero, which no estimator has an answer for.

    Args:
        points: (N, D).

    Returns:
        (M, D), M ≤ N.
    """
    points = np.ascontiguousarray(points, dtype=np.float64) + 0.0  # -0 is 0
    rows = points.view(np.dtype((np.void, points.itemsize * points.shape[1]))).reshape(-1)
    first = np.sort(np.unique(rows, return_index=True)[1])
    distinct: Array = points[first]
    return distinct


def neighbour_distances(points: Array, count: int) -> Array:
    """Return the Euclidean distances of each point to its nearest neighbours, itself left out.

    Candidates are found by ‖a‖² + ‖b‖² - 2ab, which is fast and loses digits where points are close; the
    distances of those that may be nearest are then computed from differences.

    Args:
        points: (N, D), N > ``count``, no point twice.
        count: How many neighbours.

    Returns:
        (N, ``count``), ascending.
    """
    points = points - points.mean(axis=0)
    norms = np.einsum("ij,ij->i", points, points)
    candidates = min(count + _SPARE, len(points) - 1)
    step = max(1, _BLOCK // max(len(points), candidates * points.shape[1]))
    found = np.empty((len(points), count))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        squared = norms[start : start + step, None] + norms - 2 * (block @ points.T)
        squared[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        near = np.argpartition(squared, candidates - 1, axis=1)[:, :candidates]
        apart = points[near] - block[:, None]
        exact = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
        exact.sort(axis=1)
        found[start : start + step] = exact[:, :count]
    return found
