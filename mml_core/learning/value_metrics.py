"""Metrics of regression: one or several values for each image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mml_core.learning.statistics import Array, Statistic, Sums, beside, with_mean

ROUNDING = 1e-12
"""Share of a sum of squares below which its difference from another is rounding."""


class ValueOutcome:
    """Values and truth of a split.

    Args:
        values: (samples, values), on the scale of the targets.
        targets: (samples, values); NaN where not known.
        per_class: Whether metrics of each value are asked for.
    """

    def __init__(self, values: Array, targets: Array, *, per_class: bool = False) -> None:
        self.targets = targets.reshape(values.shape)
        self.per_class = per_class
        self.known = ~np.isnan(self.targets)
        self.errors = np.where(self.known, values - self.targets, 0.0)

    def sums(self, finish: Callable[..., Array], *terms: Array) -> Sums:
        """Return a metric of each value and the mean over values.

        Args:
            finish: Sums of each term and the number of samples, (values, resamples) each → (values,
                resamples).
            *terms: (samples, values).
        """

        def finished(sums: Array) -> Array:
            values = finish(*sums.reshape(len(terms) + 1, self.known.shape[1], -1))
            return with_mean(values, per_class=self.per_class)

        return Sums(terms=beside(*terms, self.known), finish=finished)


def _mae(outcome: ValueOutcome) -> Statistic:
    return outcome.sums(np.divide, np.abs(outcome.errors))


def _mse(outcome: ValueOutcome) -> Statistic:
    return outcome.sums(np.divide, outcome.errors**2)


def _rmse(outcome: ValueOutcome) -> Statistic:
    return outcome.sums(lambda total, count: np.sqrt(total / count), outcome.errors**2)


def _r2(outcome: ValueOutcome) -> Statistic:
    """Share of variance explained; NaN of one sample; of a constant truth 1 or 0, as in scikit-learn."""
    # A constant truth is exactly zero when its first value is taken off, whatever the rounding of its mean.
    shifted = np.zeros_like(outcome.targets)
    for index, known in enumerate(outcome.known.T):
        of_value = outcome.targets[known, index]
        if len(of_value):
            constant = (of_value == of_value[0]).all()
            shifted[known, index] = of_value - (of_value[0] if constant else of_value.mean())

    def finish(squares: Array, truth: Array, truth_squares: Array, count: Array) -> Array:
        total = truth_squares - truth**2 / count
        constant = total <= ROUNDING * truth_squares
        values = np.where(constant, np.where(squares == 0, 1.0, 0.0), 1 - squares / total)
        return np.where(count > 1, values, np.nan)

    return outcome.sums(finish, outcome.errors**2, shifted, shifted**2)


METRICS: dict[str, Callable[[ValueOutcome], Statistic]] = {
    "mae": _mae,
    "mse": _mse,
    "rmse": _rmse,
    "r2": _r2,
}
