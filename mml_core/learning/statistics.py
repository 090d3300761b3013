"""Metrics as functions of how often each sample counts: a value, a resample and a jackknife are the same sum.

A metric is prepared once on the samples of a split. Under a weight of one each it has its value, under the
counts of a resample its value there. Weights are matrices (samples, resamples), so that a thousand resamples
cost a few products of matrices and no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Terms: TypeAlias = Any
"""A ``scipy.sparse.csr_array`` (samples, terms); scipy ships no types."""

MOST_VALUES = 1_000_000
"""Numbers of weights held at once: 8 MB."""
MOST_BLOCKS = 1000
"""How many leave-outs a metric that ranks samples is computed for."""


class Statistic(Protocol):
    """A metric on the samples of a split."""

    def under(self, weights: Array) -> Array:
        """Return its values where samples count so often.

        Args:
            weights: (samples, resamples).

        Returns:
            (1 + classes, resamples): the metric, then its value of each class where it is asked for. NaN
            where it is not defined.
        """

    def leaving_out(self, units: Array, count: int) -> Array:
        """Return its values without one unit of samples at a time: the jackknife.

        Args:
            units: Of which unit each sample is, (samples,), from 0.
            count: Number of units.

        Returns:
            (1 + classes, leave-outs).
        """


@dataclass(frozen=True, kw_only=True)
class Sums:
    """A metric that is a function of sums over samples.

    Attributes:
        terms: What each sample adds to each sum, (samples, sums), sparse.
        finish: Sums (sums, resamples) → values (1 + classes, resamples).
    """

    terms: Terms
    finish: Callable[[Array], Array]

    def under(self, weights: Array) -> Array:
        """See :class:`Statistic`."""
        return self._finished(self.terms.T @ weights)

    def leaving_out(self, units: Array, count: int) -> Array:
        """See :class:`Statistic`; exact, at the cost of one pass."""
        per_unit = placed(units, np.arange(len(units)), (count, len(units))) @ self.terms
        total = np.asarray(per_unit.sum(axis=0)).reshape(-1, 1)
        step = max(1, MOST_VALUES // max(1, per_unit.shape[1]))
        with np.errstate(invalid="ignore"):  # an infinite loss less itself
            parts = [
                self._finished(total - per_unit[start : start + step].toarray().T)
                for start in range(0, count, step)
            ]
        return np.concatenate(parts, axis=1)

    def _finished(self, sums: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(sums)


class Ranking:
    """Samples from the highest score to the lowest, and the positive ones among them.

    Args:
        scores: (samples,); the samples that count.
        positive: Which of them are positive, (samples,).
        rows: Which samples of the split these are; None for all.
    """

    def __init__(self, scores: Array, positive: Array, rows: Array | None = None) -> None:
        order = np.argsort(-scores, kind="stable")
        self._rows = order if rows is None else rows[order]
        falling = -scores[order]
        places = np.flatnonzero(positive[order])
        self._positives = self._rows[places]
        self._before = np.searchsorted(falling, falling[places], side="left")
        self._through = np.searchsorted(falling, falling[places], side="right")
        # Of positives with equal scores, the last one has counted them all.
        self._last = np.searchsorted(falling[places], falling[places], side="right") - 1

    def auroc(self, weights: Array) -> Array:
        """Area under the ROC curve: the share of pairs in the right order (Mann and Whitney, 1947).

        Ties count half. NaN where all samples are positive, or none is.
        """
        summed, positives = self._summed(weights), weights[self._positives]
        total, count = summed[-1], positives.sum(axis=0)
        above = (summed[self._before] + summed[self._through]) / 2
        # Among the positives themselves each pair, and each with itself, adds one half on either side.
        pairs = np.einsum("sr,sr->r", positives, total - above) - count**2 / 2
        area: Array = pairs / (count * (total - count))
        return area

    def average_precision(self, weights: Array) -> Array:
        """Precision at the score of each positive sample, averaged over them; NaN without positives."""
        positives = weights[self._positives]
        found = self._summed(weights)[self._through]
        precision = positives.cumsum(axis=0)[self._last]
        np.divide(precision, found, out=precision, where=found > 0)
        mean: Array = np.einsum("sr,sr->r", positives, precision) / positives.sum(axis=0)
        return mean

    def _summed(self, weights: Array) -> Array:
        """Return the weight of the first so many samples, from none to all, (samples + 1, resamples)."""
        summed = np.zeros((len(self._rows) + 1, weights.shape[1]))
        np.cumsum(weights[self._rows], axis=0, out=summed[1:])
        return summed


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A metric that depends on the order of samples by their scores, class by class.

    Attributes:
        rankings: One for each class.
        area: A ranking and weights (samples, resamples) → values (resamples,).
        lead: The class whose value is the metric; None for the mean over classes.
        per_class: Whether the values of classes are given, too.
    """

    rankings: Sequence[Ranking]
    area: Callable[[Ranking, Array], Array]
    lead: int | None = None
    per_class: bool = False

    def under(self, weights: Array) -> Array:
        """See :class:`Statistic`."""
        chosen = self.rankings if self.per_class or self.lead is None else [self.rankings[self.lead]]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.stack([self.area(ranking, weights) for ranking in chosen])
        first = self.lead if self.per_class and self.lead is not None else 0
        metric = mean_known(values) if self.lead is None else values[first]
        return np.concatenate([metric[None], values]) if self.per_class else metric[None]

    def leaving_out(self, units: Array, count: int) -> Array:
        """See :class:`Statistic`.

        Of more than ``MOST_BLOCKS`` units, blocks of them are left out, drawn at random but always alike:
        skewness and variance of sums of units, and so the acceleration of BCa, are the same in expectation.
        """
        blocks = min(count, MOST_BLOCKS)
        if blocks < count:
            units = (np.random.default_rng(0).permutation(count) % blocks)[units]
        step = max(1, MOST_VALUES // max(1, len(units)))
        parts = [
            self.under((units[:, None] != np.arange(start, min(start + step, blocks))).astype(np.float64))
            for start in range(0, blocks, step)
        ]
        return np.concatenate(parts, axis=1)


def placed(rows: Array, columns: Array, shape: tuple[int, int], values: Array | float = 1.0) -> Terms:
    """Return terms that are zero but at these places; values at one place add up.

    Args:
        rows: Samples.
        columns: Sums they add to.
        shape: (samples, sums).
        values: What they add.
    """
    from scipy.sparse import csr_array

    data = np.broadcast_to(np.asarray(values, dtype=np.float64), rows.shape)
    return csr_array((data, (rows, columns)), shape=shape)


def beside(*terms: Terms) -> Terms:
    """Put terms beside each other; plain arrays (samples,) or (samples, sums) are among them."""
    from scipy.sparse import csr_array, hstack, issparse

    def sparse(each: Any) -> Any:
        if issparse(each):
            return each
        plain = np.asarray(each, dtype=np.float64)
        return csr_array(plain.reshape(len(plain), -1))

    return hstack([sparse(each) for each in terms], format="csr")


def averaged(values: Array) -> Sums:
    """Return the metrics that are means over samples of ``values``, (samples, rows); NaN does not count."""
    known = ~np.isnan(values)
    terms = beside(np.where(known, values, 0.0), known)

    def finish(sums: Array) -> Array:
        totals, counts = sums.reshape(2, values.shape[1], -1)
        result: Array = totals / counts
        return result

    return Sums(terms=terms, finish=finish)


def mean_known(values: Array) -> Array:
    """Return the mean over the first axis of what is defined; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Array = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def with_mean(values: Array, *, per_class: bool) -> Array:
    """Return the mean of what is defined over classes, before their own values where they are asked for.

    Args:
        values: (classes, resamples).
        per_class: Whether the values of classes are given, too.

    Returns:
        (1 + classes, resamples), or (1, resamples).
    """
    mean = mean_known(values)[None]
    return np.concatenate([mean, values]) if per_class else mean
