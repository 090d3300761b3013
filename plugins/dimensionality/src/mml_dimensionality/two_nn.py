"""The estimator of intrinsic dimension that looks at two neighbours.

E. Facco, M. d'Errico, A. Rodriguez, A. Laio, "Estimating the intrinsic dimension of datasets by a minimal
neighborhood information", Scientific Reports 7, 12140 (2017).
"""

from __future__ import annotations

import math

import numpy as np

from mml_dimensionality.neighbours import Array


def two_nn(distances: Array, discard: float) -> float:
    """Estimate the dimension from how much farther the second neighbour is than the first.

    Of points whose density hardly changes between the two, the ratio μ of their distances has the
    distribution F(μ) = 1 - μ^-m, so that -log(1 - F) over log μ is a line through the origin whose slope is
    m. It is fitted by least squares.

    Args:
        distances: To the neighbours of each point, (N, at least 2), ascending, positive.
        discard: Share of the points, those with the largest ratios, that is left out: they are few and far.

    Returns:
        The dimension; infinite where both neighbours of each point are equally far.
    """
    ratios = np.sort(np.log(distances[:, 1]) - np.log(distances[:, 0]))
    # The last one of all has F = 1, which has no logarithm.
    kept = min(math.ceil((1 - discard) * len(ratios)), len(ratios) - 1)
    across = ratios[:kept]
    up = -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    length = float(across @ across)
    return float(across @ up) / length if length > 0 else math.inf
