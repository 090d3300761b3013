"""Metrics of yes-or-no decisions, from counts: of classes one against the rest, or of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mml_core.learning.statistics import Array


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How often something is decided, and is so; each (classes, resamples).

    Attributes:
        right: Samples rightly put into the class.
        found: Samples put into the class.
        there: Samples that belong there.
        total: Samples.
    """

    right: Array
    found: Array
    there: Array
    total: Array


def accuracy(counts: Counts) -> Array:
    """Share of right decisions."""
    wrong: Array = counts.found + counts.there - 2 * counts.right
    return 1 - wrong / counts.total


def recall(counts: Counts) -> Array:
    """Sensitivity: the share of what belongs there that is found; NaN where nothing does."""
    share: Array = counts.right / counts.there
    return share


def specificity(counts: Counts) -> Array:
    """The share of what does not belong there that is left out; NaN where all does."""
    absent = counts.total - counts.there
    share: Array = 1 - (counts.found - counts.right) / absent
    return np.where(absent > 0, share, np.nan)


def precision(counts: Counts) -> Array:
    """The share of what is found that belongs there; 0 where a class that is there is never found."""
    share = counts.right / counts.found
    return np.where((counts.found == 0) & (counts.there > 0), 0.0, share)


def f1(counts: Counts) -> Array:
    """Harmonic mean of precision and recall; NaN where a class is neither there nor found."""
    share: Array = 2 * counts.right / (counts.found + counts.there)
    return share


def mcc(counts: Counts) -> Array:
    """Matthews correlation coefficient; 0 where all decisions, or all samples, are of one kind."""
    product = counts.found * (counts.total - counts.found) * counts.there * (counts.total - counts.there)
    correlation = (counts.right * counts.total - counts.found * counts.there) / np.sqrt(product)
    return np.where((product == 0) & (counts.total > 0), 0.0, correlation)


def cohen_kappa(counts: Counts) -> Array:
    """Agreement beyond chance (Cohen, 1960); NaN where chance alone would agree always."""
    missed = counts.total - counts.found, counts.total - counts.there
    chance = (counts.found * counts.there + missed[0] * missed[1]) / counts.total**2
    return np.where(chance == 1, np.nan, (accuracy(counts) - chance) / (1 - chance))


DECISIONS: dict[str, Callable[[Counts], Array]] = {
    "f1": f1,
    "precision": precision,
    "recall": recall,
    "specificity": specificity,
}
"""Those that are reported as the mean over classes, or over labels."""
