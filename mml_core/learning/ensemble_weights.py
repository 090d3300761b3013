"""Weights of an ensemble's members, as their predictions of validation samples tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mml_core.learning.ensembles import EnsembleError, combined
from mml_core.learning.evaluation import evaluate
from mml_core.learning.metrics import LESS_IS_BETTER
from mml_core.learning.options import is_whole
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

MEAN, WEIGHTED, GREEDY = METHODS = ("mean", "weighted", "greedy")
LEADING = {CLASSIFICATION: "nll", MULTILABEL: "nll", REGRESSION: "mse", SEGMENTATION: "dice"}
"""The metric that weights follow where none is named."""
FITTED_ON = "val"


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """How members are selected.

    Attributes:
        rounds: How many are added, each again and again if it helps.
        initial: How many of the best ones it begins with.
        bags: How many times it is done, each time among other members; the selections are added up.
        bag_share: Share of the members that are there each time; all where it is done once.
    """

    rounds: int = 50
    initial: int = 1
    bags: int = 1
    bag_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rounds", "initial", "bags"):
            value = getattr(self, name)
            if not is_whole(value, least=0 if name == "rounds" else 1):
                raise EnsembleError(f"mode.ensemble.{name} must be a number from 1, found {value!r}.")
        if not isinstance(self.bag_share, (int, float)) or not 0 < self.bag_share <= 1:
            raise EnsembleError(
                f"mode.ensemble.bag_share must be above 0 and at most 1, found {self.bag_share!r}."
            )


def scores_of(members: Sequence[Predictions], metric: str) -> list[float]:
    """Return the metric of each member on the same validation samples.

    Raises:
        EnsembleError: These are no validation samples, have no targets, or a metric is not defined on them.
        OptionError: There is no such metric for tasks of this type.
    """
    return [_score(member, metric) for member in members]


def weights_by_score(scores: Sequence[float], metric: str) -> list[float]:
    """Return weights that sum to 1: in proportion to the score, or to its inverse where less is better.

    A score that is not above 0 gives no weight (of those where more is better), a perfect one all of it.

    Raises:
        EnsembleError: No member has a score above 0.
    """
    values = np.asarray(scores, dtype=np.float64)
    if metric in LESS_IS_BETTER:
        perfect = values <= 0
        values = perfect.astype(np.float64) if perfect.any() else 1 / values
    values = np.maximum(values, 0.0)
    if not values.sum() > 0:
        raise EnsembleError(
            f"No member has a {metric} above 0 on validation samples, so that it gives no weights; choose"
            " another one by mode.ensemble.metric, or mode.ensemble.method=mean."
        )
    weights: list[float] = (values / values.sum()).tolist()
    return weights


def select_greedily(
    members: Sequence[Predictions], metric: str, how: Greedy, *, average: str, seed: int
) -> list[float]:
    """Select members, with replacement, whose mean is best (Caruana et al., 2004).

    It begins with the best ones (sorted initialisation), adds the member that helps most, or harms least,
    round by round, and keeps the best selection that it met. With bags it is done among members drawn at
    random and the selections are added up, which overfits the validation samples less.

    Args:
        members: Aligned predictions of validation samples.
        metric: What is to be best.
        how: Rounds, beginning and bags.
        average: How predictions are combined; see :func:`~mml_core.learning.ensembles.combined`.
        seed: Of the bags.

    Returns:
        Weights that sum to 1; most are 0 where there are many members.

    Raises:
        EnsembleError: As of :func:`scores_of`.
    """
    everyone = np.arange(len(members))
    alone = scores_of(members, metric)
    counts = np.zeros(len(members))
    generator = np.random.default_rng(seed)
    for _ in range(how.bags):
        there = everyone
        if how.bags > 1:
            size = max(1, round(how.bag_share * len(members)))
            there = np.sort(generator.choice(everyone, size=size, replace=False))
        counts += _selected(members, there.tolist(), alone, metric, how, average)
    weights: list[float] = (counts / counts.sum()).tolist()
    return weights


def _selected(
    members: Sequence[Predictions],
    there: list[int],
    alone: Sequence[float],
    metric: str,
    how: Greedy,
    average: str,
) -> Any:
    sign = -1 if metric in LESS_IS_BETTER else 1
    first = sorted(there, key=lambda index: -sign * alone[index])[: how.initial]
    counts = np.zeros(len(members))
    counts[first] = 1
    best, most = counts.copy(), sign * _score(combined(members, counts.tolist(), average), metric)
    for _ in range(how.rounds):
        found = []
        for index in there:
            tried = counts.copy()
            tried[index] += 1
            found.append(sign * _score(combined(members, tried.tolist(), average), metric))
        counts[there[int(np.argmax(found))]] += 1
        if max(found) > most:
            best, most = counts.copy(), max(found)
    return best / best.sum()


def _score(predictions: Predictions, metric: str) -> float:
    if predictions.split != FITTED_ON:
        raise EnsembleError(
            f"Weights follow the split {FITTED_ON} alone, found '{predictions.split}': what is reported must"
            " not be looked at."
        )
    value = evaluate(predictions, [metric]).get(metric, math.nan)
    if not math.isfinite(value):
        raise EnsembleError(
            f"{metric} of task '{predictions.output.task}', fold {predictions.fold}, is {value} on its"
            f" {len(predictions.sample_ids)} validation samples, so that it gives no weights; choose another"
            " one by mode.ensemble.metric, or mode.ensemble.method=mean."
        )
    return value
