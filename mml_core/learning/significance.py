"""Tests over several comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for being several (Holm, 1979): all may be compared with one level.

    Args:
        p_values: Of one family of tests. What is NaN is no test.

    Returns:
        Adjusted p-values in the same order; NaN stays.
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = largest
    return adjusted


def wilcoxon_signed_rank(differences: Sequence[float]) -> float:
    """Return the two-sided p-value that differences over tasks are symmetric about 0 (Wilcoxon, 1945).

    Exact for up to 50 differences without ties. Differences of 0 are left out. Demšar (2006) recommends the
    test for two models on several data sets; of n tasks the smallest p-value is 2 ** (1 - n).

    Args:
        differences: One for each task; what is NaN does not count.

    Returns:
        NaN without any difference, 1 where all are 0.
    """
    known = np.array([each for each in differences if not math.isnan(each)])
    if not len(known):
        return math.nan
    if not known.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(known[known != 0]).pvalue)
