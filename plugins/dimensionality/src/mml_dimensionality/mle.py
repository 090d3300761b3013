"""The maximum likelihood estimator of intrinsic dimension.

E. Levina, P. J. Bickel, "Maximum Likelihood Estimation of Intrinsic Dimension", NIPS 17 (2004); averaged as
D. J. C. MacKay and Z. Ghahramani propose in "Comments on 'Maximum Likelihood Estimation of Intrinsic
Dimension' by E. Levina and P. Bickel" (2005).
"""

from __future__ import annotations

import math

import numpy as np

from mml_dimensionality.neighbours import Array


def mle(distances: Array, first: int, last: int) -> float:
    """Estimate the dimension from how fast neighbours become more with the distance.

    Of points that lie evenly in m dimensions, the logarithms of T_k / T_j, j < k, are drawn from an
    exponential distribution of rate m, T_j being the distance to the j-th neighbour. For each k the inverse
    of m is the mean over neighbours and points: averaging m itself, as the first paper does, is biased where
    k is small.

    Args:
        distances: To the neighbours of each point, (N, at least ``last``), ascending, positive.
        first: The smallest k, from 2.
        last: The largest k; the estimates of all from ``first`` on are averaged.

    Returns:
        The dimension; infinite where all neighbours are equally far.
    """
    logarithms = np.log(distances[:, :last])
    totals = np.cumsum(logarithms, axis=1)
    estimates = []
    for k in range(first, last + 1):
        inverse = float(np.mean(logarithms[:, k - 1] - totals[:, k - 2] / (k - 1)))
        estimates.append(1 / inverse if inverse > 0 else math.inf)
    return math.fsum(estimates) / len(estimates)
