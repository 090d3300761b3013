"""Bins of probability, for calibration errors and their curves."""

from __future__ import annotations

import numpy as np

from mml_core.learning.statistics import Array

BINS = 15
"""Bins of equal width that calibration errors compare confidence and truth in, as in Guo et al. (2017)."""


def bin_of(confidence: Array) -> Array:
    """Return the bin a probability falls into, from 0; a bound belongs to the bin above it."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
