"""Metrics of classification: one of several classes for each image."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from mml_core.learning.binning import BINS, bin_of
from mml_core.learning.counts import DECISIONS, Counts
from mml_core.learning.statistics import (
    Array,
    Ranked,
    Ranking,
    Statistic,
    Sums,
    Terms,
    averaged,
    beside,
    mean_known,
    placed,
    with_mean,
)


class ClassOutcome:
    """Logits and truth of a split, and what several metrics need of them.

    Args:
        logits: (samples, classes).
        targets: Class numbers (samples,).
        per_class: Whether values of classes are asked for.
    """

    def __init__(self, logits: Array, targets: Array, *, per_class: bool = False) -> None:
        self.logits = logits
        self.targets = targets
        self.per_class = per_class
        self.samples, self.classes = logits.shape

    @cached_property
    def chosen(self) -> Array:
        """The class with the largest logit, the first of several."""
        number: Array = self.logits.argmax(axis=1)
        return number

    @cached_property
    def log_probabilities(self) -> Array:
        """(samples, classes)."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True)
        result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return result

    @cached_property
    def probabilities(self) -> Array:
        """(samples, classes)."""
        result: Array = np.exp(self.log_probabilities)
        return result

    @cached_property
    def truth(self) -> Array:
        """1 at the class that is true, (samples, classes)."""
        return np.equal(self.targets[:, None], np.arange(self.classes)).astype(np.float64)

    @cached_property
    def counts(self) -> Terms:
        """What is right, found and there of each class, (samples, 3 * classes)."""
        everyone = np.arange(self.samples)
        right = np.flatnonzero(self.chosen == self.targets)
        rows = np.concatenate([right, everyone, everyone])
        columns = [self.targets[right], self.classes + self.chosen, 2 * self.classes + self.targets]
        return placed(rows, np.concatenate(columns), (self.samples, 3 * self.classes))

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Each class against the rest, by log-odds: probabilities of a sure net are all 1 to the last bit."""
        return [Ranking(self.log_odds(index), self.targets == index) for index in range(self.classes)]

    def log_odds(self, index: int) -> Array:
        """Return the score of one class against the rest, (samples,)."""
        rest = np.delete(self.logits, index, axis=1)
        top = rest.max(axis=1, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):  # of a class that is sure, the others have no probability at all
            odds: Array = self.logits[:, index] - top - np.log(np.exp(rest - top[:, None]).sum(axis=1))
        return odds


def _from_counts(metric: Callable[[Counts], Array]) -> Callable[[ClassOutcome], Statistic]:
    def prepare(outcome: ClassOutcome) -> Statistic:
        def finish(sums: Array) -> Array:
            right, found, there = sums.reshape(3, outcome.classes, -1)
            return metric(Counts(right=right, found=found, there=there, total=there.sum(axis=0)))

        return Sums(terms=outcome.counts, finish=finish)

    return prepare


def _mean_over_classes(metric: Callable[[Counts], Array]) -> Callable[[ClassOutcome], Statistic]:
    def prepare(outcome: ClassOutcome) -> Statistic:
        return _from_counts(lambda counts: with_mean(metric(counts), per_class=outcome.per_class))(outcome)

    return prepare


def _accuracy(counts: Counts) -> Array:
    share: Array = counts.right.sum(axis=0, keepdims=True) / counts.total
    return share


def _balanced_accuracy(counts: Counts) -> Array:
    return mean_known(counts.right / counts.there)[None]


def _mcc(counts: Counts) -> Array:
    """Correlation of decisions and truth over classes (Gorodkin, 2004); 0 where either is constant."""
    total = counts.total
    shared = counts.right.sum(axis=0) * total - (counts.found * counts.there).sum(axis=0)
    spread = (total**2 - (counts.found**2).sum(axis=0)) * (total**2 - (counts.there**2).sum(axis=0))
    return np.where((spread == 0) & (total > 0), 0.0, shared / np.sqrt(spread))[None]


def _cohen_kappa(counts: Counts) -> Array:
    chance = (counts.found * counts.there).sum(axis=0) / counts.total**2
    agreed = counts.right.sum(axis=0) / counts.total
    return np.where(chance == 1, np.nan, (agreed - chance) / (1 - chance))[None]


def _ranked(area: Callable[[Ranking, Array], Array]) -> Callable[[ClassOutcome], Statistic]:
    def prepare(outcome: ClassOutcome) -> Statistic:
        lead = 1 if outcome.classes == 2 else None
        return Ranked(rankings=outcome.rankings, area=area, lead=lead, per_class=outcome.per_class)

    return prepare


def _brier(outcome: ClassOutcome) -> Statistic:
    """Squared error of probabilities, summed over classes (Brier, 1950); of two, that of one of them."""
    errors = (outcome.probabilities - outcome.truth) ** 2
    total = errors[:, 1:] if outcome.classes == 2 else errors.sum(axis=1, keepdims=True)
    return averaged(np.hstack([total, errors]) if outcome.per_class else total)


def _nll(outcome: ClassOutcome) -> Statistic:
    return averaged(-np.take_along_axis(outcome.log_probabilities, outcome.targets[:, None], axis=1))


def _ece(outcome: ClassOutcome) -> Statistic:
    """Expected calibration error of the chosen class (Guo et al., 2017).

    Per class: that of its probability (classwise, Kull et al., 2019).
    """
    confidence = outcome.probabilities.max(axis=1)
    everyone = np.arange(outcome.samples)
    shape = (outcome.samples, BINS)
    gaps = [placed(everyone, bin_of(confidence), shape, confidence - (outcome.chosen == outcome.targets))]
    if outcome.per_class:
        for index in range(outcome.classes):
            stated = outcome.probabilities[:, index]
            gaps.append(placed(everyone, bin_of(stated), shape, stated - outcome.truth[:, index]))

    def finish(sums: Array) -> Array:
        per_bin = sums[:-1].reshape(len(gaps), BINS, -1)
        error: Array = np.abs(per_bin).sum(axis=1) / sums[-1]
        return error

    return Sums(terms=beside(*gaps, np.ones(outcome.samples)), finish=finish)


METRICS: dict[str, Callable[[ClassOutcome], Statistic]] = {
    "accuracy": _from_counts(_accuracy),
    "balanced_accuracy": _from_counts(_balanced_accuracy),
    "auroc": _ranked(Ranking.auroc),
    "average_precision": _ranked(Ranking.average_precision),
    **{name: _mean_over_classes(metric) for name, metric in DECISIONS.items()},
    "mcc": _from_counts(_mcc),
    "cohen_kappa": _from_counts(_cohen_kappa),
    "brier": _brier,
    "ece": _ece,
    "nll": _nll,
}
