"""Maximum mean discrepancy: how far apart two sets of features are for a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]
"""Kernel values of all pairs (N, M) of rows (N, D) and rows (M, D)."""


def polynomial(*, degree: int = 3) -> Kernel:
    """Return the kernel ``(x·y / D + 1)^degree`` of KID.

    Bińkowski et al., "Demystifying MMD GANs", ICLR 2018.
    """

    def kernel(x: Array, y: Array) -> Array:
        values: Array = x @ y.T
        values /= x.shape[1]
        values += 1
        if degree == 3:  # a power of floats takes ten times as long as two products
            return values * values * values
        return values**degree

    return kernel


def gaussian(bandwidth: float) -> Kernel:
    """Return the kernel ``exp(-|x - y|² / (2 bandwidth²))``."""

    def kernel(x: Array, y: Array) -> Array:
        values: Array = x @ y.T
        values *= -2
        values += (x**2).sum(axis=1)[:, None]
        values += (y**2).sum(axis=1)[None, :]
        np.maximum(values, 0, out=values)
        values /= -2 * bandwidth**2
        return np.exp(values, out=values)

    return kernel


def median_distance(sets: Sequence[NDArray[np.floating]], *, most: int = 2000) -> float:
    """Return the median of the Euclidean distances of all pairs of pooled samples; 1 where it is 0.

    Gretton et al., "A kernel two-sample test", JMLR 2012, section 8.

    Args:
        sets: Features (N, D) of each task.
        most: So many samples are pooled at most, as many of each task, evenly spaced in it.
    """
    each = max(most // len(sets), 2)
    chosen = [
        rows[np.unique(np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(int))]
        for rows in sets
    ]
    median = float(np.median(pdist(np.concatenate(chosen).astype(np.float64))))
    return median or 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """Features, and the mean of the kernel within them.

    Attributes:
        rows: (N, D), N at least 2.
        within: Mean over all pairs of two different samples.
    """

    rows: Array
    within: float

    @classmethod
    def of(cls, values: NDArray[np.floating], kernel: Kernel) -> Embedded:
        """Compute the mean of the kernel within features (N, D)."""
        rows = np.asarray(values, dtype=np.float64)
        values_of_pairs = kernel(rows, rows)
        count = len(rows)
        within = (values_of_pairs.sum() - np.trace(values_of_pairs)) / (count * (count - 1))
        return cls(rows=rows, within=float(within))


def squared_mmd(a: Embedded, b: Embedded, kernel: Kernel) -> float:
    """Return the unbiased estimate of the squared MMD, over all samples.

    Of samples of one distribution it is 0 on average, so that it may be below 0. Gretton et al. 2012,
    equation 3.
    """
    return a.within + b.within - 2 * float(kernel(a.rows, b.rows).mean())
