"""Isotonic regression: the rising step function that is nearest to what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml_core.learning.statistics import Array


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A function that rises, linear between its knots and constant beyond them.

    Attributes:
        at: Where the knots are, rising, (knots,).
        values: Its values there, never falling, (knots,).
    """

    at: Array
    values: Array

    def __call__(self, where: Array) -> Array:
        """Return its values."""
        found: Array = np.interp(where, self.at, self.values)
        return found


def fit_isotonic(stated: Array, true: Array) -> Steps:
    """Fit by least squares (pool adjacent violators; Zadrozny and Elkan, 2002).

    Args:
        stated: Probabilities (samples,); at least one.
        true: Whether it was so, or to what share, (samples,).

    Returns:
        The function, with the knots that it needs.
    """
    from scipy.optimize import isotonic_regression

    at, place, counts = np.unique(stated, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=true, minlength=len(at)) / counts
    values = np.clip(isotonic_regression(means, weights=counts).x, 0.0, 1.0)
    # Within a step only its ends are needed.
    inner = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    kept = np.concatenate([[True], ~inner, [True]]) if len(at) > 2 else np.ones(len(at), dtype=bool)
    return Steps(at=at[kept], values=values[kept])
