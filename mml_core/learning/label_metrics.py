"""Metrics of multilabel tasks: each label is there or not, or there to a share.

A target that is NaN is not known and does not count. Soft targets (shares between 0 and 1) enter ``brier``,
``ece`` and ``nll`` as they are, the expectation over labels drawn by them; all other metrics take a label as
there where its share is above one half.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from mml_core.learning import counts as decisions
from mml_core.learning.binning import BINS, bin_of
from mml_core.learning.counts import DECISIONS, Counts
from mml_core.learning.outputs import MULTILABEL
from mml_core.learning.probabilities import probabilities
from mml_core.learning.statistics import (
    Array,
    Ranked,
    Ranking,
    Statistic,
    Sums,
    Terms,
    averaged,
    beside,
    placed,
    with_mean,
)


class LabelOutcome:
    """Logits and truth of a split, and what several metrics need of them.

    Args:
        logits: (samples, labels).
        targets: Shares (samples, labels) from 0 to 1; NaN where not known.
        per_class: Whether values of labels are asked for.
    """

    def __init__(self, logits: Array, targets: Array, *, per_class: bool = False) -> None:
        self.logits = logits
        self.targets = targets
        self.per_class = per_class
        self.samples, self.labels = logits.shape
        self.known = ~np.isnan(targets)

    @cached_property
    def there(self) -> Array:
        """Which labels are there, (samples, labels); False where not known."""
        return self.known & (self.targets > 0.5)

    @cached_property
    def probabilities(self) -> Array:
        """(samples, labels)."""
        return probabilities(MULTILABEL, self.logits)

    @cached_property
    def counts(self) -> Terms:
        """What is right, found, there and known of each label, (samples, 4 * labels)."""
        found = self.known & (self.logits > 0)
        return beside(found & self.there, found, self.there, self.known)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Samples by the logit of each label."""
        return [self._ranking(index) for index in range(self.labels)]

    def _ranking(self, index: int) -> Ranking:
        rows = np.flatnonzero(self.known[:, index])
        return Ranking(self.logits[rows, index], self.there[rows, index], rows)


def _from_counts(metric: Callable[[Counts], Array]) -> Callable[[LabelOutcome], Statistic]:
    def prepare(outcome: LabelOutcome) -> Statistic:
        def finish(sums: Array) -> Array:
            right, found, there, total = sums.reshape(4, outcome.labels, -1)
            values = metric(Counts(right=right, found=found, there=there, total=total))
            return with_mean(values, per_class=outcome.per_class)

        return Sums(terms=outcome.counts, finish=finish)

    return prepare


def _ranked(area: Callable[[Ranking, Array], Array]) -> Callable[[LabelOutcome], Statistic]:
    return lambda outcome: Ranked(rankings=outcome.rankings, area=area, per_class=outcome.per_class)


def _averaged(losses: Array, outcome: LabelOutcome) -> Statistic:
    """Return the mean over samples of losses (samples, labels), and over labels."""
    of_labels = averaged(losses)

    def finish(sums: Array) -> Array:
        return with_mean(of_labels.finish(sums), per_class=outcome.per_class)

    return Sums(terms=of_labels.terms, finish=finish)


def _brier(outcome: LabelOutcome) -> Statistic:
    return _averaged((outcome.probabilities - outcome.targets) ** 2, outcome)


def _nll(outcome: LabelOutcome) -> Statistic:
    shares, logits = outcome.targets, outcome.logits
    with np.errstate(invalid="ignore"):  # an infinite loss that has no share
        missed = np.where(shares > 0, shares * np.logaddexp(0.0, -logits), 0.0)
        invented = np.where(shares < 1, (1 - shares) * np.logaddexp(0.0, logits), 0.0)
    loss = np.where(outcome.known, missed + invented, np.nan)
    return _averaged(loss, outcome)


def _ece(outcome: LabelOutcome) -> Statistic:
    """Expected calibration error of the probability of each label."""
    gaps = []
    for index in range(outcome.labels):
        rows = np.flatnonzero(outcome.known[:, index])
        stated = outcome.probabilities[rows, index]
        gap = stated - outcome.targets[rows, index]
        gaps.append(placed(rows, bin_of(stated), (outcome.samples, BINS), gap))

    def finish(sums: Array) -> Array:
        per_bin = sums[: BINS * outcome.labels].reshape(outcome.labels, BINS, -1)
        values = np.abs(per_bin).sum(axis=1) / sums[BINS * outcome.labels :]
        return with_mean(values, per_class=outcome.per_class)

    return Sums(terms=beside(*gaps, outcome.known), finish=finish)


def _exact_match(outcome: LabelOutcome) -> Statistic:
    """Share of samples whose labels are all right."""
    same = ((outcome.logits > 0) == outcome.there) | ~outcome.known
    whole = np.where(outcome.known.any(axis=1), same.all(axis=1), np.nan)
    return averaged(whole[:, None])


METRICS: dict[str, Callable[[LabelOutcome], Statistic]] = {
    "accuracy": _from_counts(decisions.accuracy),
    "exact_match": _exact_match,
    "auroc": _ranked(Ranking.auroc),
    "average_precision": _ranked(Ranking.average_precision),
    **{name: _from_counts(metric) for name, metric in DECISIONS.items()},
    "mcc": _from_counts(decisions.mcc),
    "cohen_kappa": _from_counts(decisions.cohen_kappa),
    "brier": _brier,
    "ece": _ece,
    "nll": _nll,
}
