"""Paired comparison of two models: on one task by a bootstrap of the difference, over tasks by ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from mml_core.learning.evaluation import Prepared, prepare
from mml_core.learning.intervals import Bootstrap, Interval, draw, interval_of, p_value_of_zero, units_of
from mml_core.learning.metrics import LESS_IS_BETTER
from mml_core.learning.pairing import ComparisonError, paired
from mml_core.learning.predictions import Predictions
from mml_core.learning.significance import holm, wilcoxon_signed_rank
from mml_core.learning.statistics import Array, Statistic


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models and one metric on the same samples of a task.

    Attributes:
        task: Name of the task.
        split: Which samples.
        metric: Name of the metric.
        first: Its value of the first model, the mean over folds.
        second: Its value of the second.
        difference: First less second, with its interval.
        p_value: Two-sided, of no difference.
        p_holm: Adjusted for the number of tasks; the p-value itself for one task.
        folds: Number of models of each side.
        samples: Number of samples that have a target, those of several folds counted once.
        units: Number of subjects, or of samples where no subjects are known: what was drawn.
    """

    task: str
    split: str
    metric: str
    first: float
    second: float
    difference: Interval
    p_value: float
    p_holm: float
    folds: int
    samples: int
    units: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Two models and one metric over several tasks.

    Attributes:
        metric: Name of the metric.
        tasks: Number of tasks on which both have a value.
        first_better: On how many of them the first model is better.
        second_better: On how many the second is.
        median: Of the differences, first less second.
        p_value: Of Wilcoxon's signed-rank test on the differences.
        p_holm: Adjusted for the number of metrics.
    """

    metric: str
    tasks: int
    first_better: int
    second_better: int
    median: float
    p_value: float
    p_holm: float


def compare(
    first: Sequence[Predictions],
    second: Sequence[Predictions],
    metrics: Sequence[str],
    how: Bootstrap,
    *,
    seed: int,
) -> list[Comparison]:
    """Compare two models on one split of a task, by a bootstrap over the samples that both have predicted.

    In each resample both models are measured on the same subjects or samples, drawn together. The order of
    samples does not matter.

    Args:
        first: Predictions of the first model, one of each fold; the metric is the mean over folds.
        second: Of the second model, of the same folds and samples.
        metrics: Names of metrics.
        how: Method, resamples, confidence.
        seed: Of the resamples.

    Raises:
        ComparisonError: Tasks, folds, samples or targets differ, or there are no targets.
        OptionError: A metric is unknown.
    """
    pairs = paired(first, second)
    prepared = [[_prepared(each, metrics) for each in pair] for pair in pairs]
    ids = [name for one, _ in prepared for name in one.sample_ids]
    subjects = [subject for one, other in prepared for subject in _subjects(one, other)]
    units, count = units_of(ids, subjects if how.by_subject else None)
    ends = np.cumsum([len(one.sample_ids) for one, _ in prepared])[:-1]
    of_folds = np.split(units, ends)
    found = []
    for metric in metrics:
        both = [_both(pair, metric) for pair in prepared]
        values, difference, p_value = _difference(both, of_folds, count, how, seed)
        found.append(
            Comparison(
                task=first[0].output.task,
                split=first[0].split,
                metric=metric,
                first=values[0],
                second=values[1],
                difference=difference,
                p_value=p_value,
                p_holm=p_value,
                folds=len(pairs),
                samples=len(set(ids)),
                units=count,
            )
        )
    return found


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Adjust the p-values of each metric for the number of tasks (Holm, 1979)."""
    result = list(comparisons)
    for metric in dict.fromkeys(each.metric for each in comparisons):
        places = [place for place, each in enumerate(comparisons) if each.metric == metric]
        for place, p_holm in zip(places, holm([comparisons[place].p_value for place in places]), strict=True):
            result[place] = replace(comparisons[place], p_holm=p_holm)
    return result


def summarise_tasks(comparisons: Sequence[Comparison]) -> list[Summary]:
    """Compare two models over tasks, metric by metric: Wilcoxon's signed-rank test, Holm's correction."""
    found: dict[str, list[float]] = {}
    for each in comparisons:
        if math.isfinite(each.difference.value):
            found.setdefault(each.metric, []).append(each.difference.value)
    p_values = [wilcoxon_signed_rank(differences) for differences in found.values()]
    rows = zip(found.items(), p_values, holm(p_values), strict=True)
    return [
        Summary(
            metric=metric,
            tasks=len(differences),
            first_better=sum(_gain(metric, each) > 0 for each in differences),
            second_better=sum(_gain(metric, each) < 0 for each in differences),
            median=median(differences),
            p_value=p_value,
            p_holm=p_holm,
        )
        for (metric, differences), p_value, p_holm in rows
    ]


def _gain(metric: str, difference: float) -> float:
    return -difference if metric in LESS_IS_BETTER else difference


def _difference(
    folds: Sequence[tuple[Statistic, Statistic] | None],
    units: Sequence[Array],
    count: int,
    how: Bootstrap,
    seed: int,
) -> tuple[Sequence[float], Interval, float]:
    """Return the values of both models, their difference and its p-value; NaN where a model has diverged."""
    known = [fold for fold in folds if fold is not None]
    if len(known) < len(folds):
        return (math.nan, math.nan), Interval(value=math.nan), math.nan
    of_folds = list(zip(known, units, strict=True))

    def under(weights: Array) -> Array:
        """Return the values of both, the mean over folds, (2, resamples)."""
        values = [[each.under(weights[of])[0] for each in pair] for pair, of in of_folds]
        return _mean(values)

    first, second = under(np.ones((count, 1)))[:, 0].tolist()
    if count < 2:  # a single unit has no spread
        return (first, second), Interval(value=first - second), math.nan
    drawn = np.concatenate([_less(under(weights)) for weights in draw(count, how.resamples, seed)])
    left_out = None
    if how.method == "bca":
        left_out = _less(_mean([[each.leaving_out(of, count)[0] for each in pair] for pair, of in of_folds]))
    value = first - second
    difference = interval_of(value, drawn, left_out, how.confidence)
    return (first, second), difference, p_value_of_zero(value, drawn, left_out)


def _less(both: Array) -> Array:
    with np.errstate(invalid="ignore"):  # infinite losses of both
        difference: Array = both[0] - both[1]
    return difference


def _mean(values: Sequence[Sequence[Array]]) -> Array:
    mean: Array = np.mean(values, axis=0)
    return mean


def _prepared(predictions: Predictions, metrics: Sequence[str]) -> Prepared:
    prepared = prepare(predictions, metrics)
    if prepared is None:
        raise ComparisonError(
            f"The samples of split '{predictions.split}' of task '{predictions.output.task}' have no targets"
            " to compare predictions with; choose a split with targets."
        )
    return prepared


def _subjects(one: Prepared, other: Prepared) -> Sequence[str | None]:
    return one.subject_ids or other.subject_ids or [None] * len(one.sample_ids)


def _both(pair: Sequence[Prepared], metric: str) -> tuple[Statistic, Statistic] | None:
    one, other = pair
    if not one.statistics or not other.statistics:
        return None
    return one.statistics[metric], other.statistics[metric]
