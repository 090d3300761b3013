"""Bootstrap confidence intervals of metrics, over samples or, where a task has subjects, over subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from mml_core.errors import MMLError
from mml_core.learning.options import OptionError, is_number, is_whole
from mml_core.learning.statistics import MOST_VALUES, Array, Statistic

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

Method: TypeAlias = Literal["bca", "percentile"]
METHODS: tuple[str, ...] = get_args(Method)
ROUNDING = 1e-14
NORMAL = NormalDist()


class IntervalError(MMLError):
    """There is nothing that an interval could be computed of."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A metric and its confidence interval.

    Attributes:
        value: The metric on the samples as they are.
        low: Lower bound; NaN where the metric is not defined, or not finite, on the samples or any resample.
        high: Upper bound.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are computed.

    Attributes:
        method: ``bca``, bias-corrected and accelerated (Efron, 1987), or ``percentile``.
        resamples: How many resamples are drawn.
        confidence: Share of intervals that hold the true value, between 0 and 1.
        by_subject: Draw subjects with all their samples rather than samples, where subjects are known:
            samples of one subject resemble each other, and intervals over them come out too narrow.
    """

    method: str = "bca"
    resamples: int = 1000
    confidence: float = 0.95
    by_subject: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"Intervals are of method {' or '.join(METHODS)}, found {self.method!r}.")
        if not is_whole(self.resamples, least=1):
            raise OptionError(f"Intervals need a number of resamples from 1, found {self.resamples!r}.")
        if not isinstance(self.by_subject, bool):
            raise OptionError(f"Intervals are by_subject true or false, found {self.by_subject!r}.")
        if not is_number(self.confidence) or not 0 < self.confidence < 1:
            raise OptionError(f"The confidence of intervals lies between 0 and 1, found {self.confidence!r}.")


def bootstrap(
    predictions: Predictions,
    metric: str,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    method: Method = "bca",
    seed: int,
    by_subject: bool = True,
) -> Interval:
    """Return a metric of predictions with its confidence interval.

    The samples may come in any order; samples of one name are drawn together. Equal seeds draw the same
    samples for every metric.

    Args:
        predictions: With targets.
        metric: Name of a metric of the task's type.
        confidence: Between 0 and 1.
        resamples: How many resamples are drawn.
        method: ``bca`` (bias-corrected and accelerated, Efron, 1987) or ``percentile``.
        seed: Of the resamples.
        by_subject: Draw subjects rather than samples, where there are subjects.

    Raises:
        IntervalError: There are no targets.
        OptionError: The metric or the method is unknown, or a number is out of its range.
    """
    how = Bootstrap(method=method, resamples=resamples, confidence=confidence, by_subject=by_subject)
    return bootstrap_all(predictions, [metric], how, seed=seed)[metric][0]


def bootstrap_all(
    predictions: Predictions,
    metrics: Sequence[str],
    how: Bootstrap,
    *,
    seed: int,
    per_class: bool = False,
) -> dict[str, list[Interval]]:
    """Return several metrics of predictions with their intervals, all from the same resamples.

    Returns:
        Metric → interval of the metric, then those of its classes where they are asked for and it has some.

    Raises:
        IntervalError: There are no targets.
        OptionError: A metric is unknown.
    """
    from mml_core.learning.evaluation import prepare

    prepared = prepare(predictions, metrics, per_class=per_class)
    if prepared is None:
        raise IntervalError(
            f"The predictions of split '{predictions.split}' of task '{predictions.output.task}' have no"
            " targets that an interval could be computed with; choose a split with targets."
        )
    if not prepared.statistics:
        return {metric: [Interval(value=math.nan)] for metric in metrics}
    units, count = units_of(prepared.sample_ids, prepared.subject_ids if how.by_subject else None)
    return intervals_of(prepared.statistics, units, count, how, seed=seed)


def units_of(sample_ids: Sequence[str], subject_ids: Sequence[str | None] | None) -> tuple[Array, int]:
    """Return of which unit of resampling each sample is, and how many units there are.

    A unit is a subject, or the samples of one name that are of no subject. Units are numbered in the order of
    their names, so that the order of samples does not matter.
    """
    if subject_ids is None:
        names = [(0, name) for name in sample_ids]
    else:
        pairs = zip(sample_ids, subject_ids, strict=True)
        names = [(0, name) if subject is None else (1, subject) for name, subject in pairs]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return np.array([numbers[name] for name in names], dtype=np.int64), len(numbers)


def intervals_of(
    statistics: Mapping[str, Statistic], units: Array, count: int, how: Bootstrap, *, seed: int
) -> dict[str, list[Interval]]:
    """Return the intervals of metrics on the samples of a split; NaN of a single unit, which has no spread.

    Args:
        statistics: The metrics.
        units: Of which unit each sample is, (samples,), from 0.
        count: Number of units.
        how: Method, number of resamples, confidence.
        seed: Of the resamples.
    """
    once = np.ones((len(units), 1))
    if count < 2:
        return {
            metric: [Interval(value=float(value)) for value in statistic.under(once)[:, 0]]
            for metric, statistic in statistics.items()
        }
    drawn = distributions(statistics, units, count, how.resamples, seed)
    found = {}
    for metric, statistic in statistics.items():
        values = statistic.under(once)[:, 0]
        left_out: Array | None = None
        if how.method == "bca":
            left_out = statistic.leaving_out(units, count)
        found[metric] = [
            interval_of(
                float(value), drawn[metric][row], None if left_out is None else left_out[row], how.confidence
            )
            for row, value in enumerate(values)
        ]
    return found


def distributions(
    statistics: Mapping[str, Statistic], units: Array, count: int, resamples: int, seed: int
) -> dict[str, Array]:
    """Return the values of metrics on the same resamples, (1 + classes, resamples) each."""
    parts: dict[str, list[Array]] = {metric: [] for metric in statistics}
    for weights in draw(count, resamples, seed):
        of_samples = weights if count == len(units) and (units == np.arange(count)).all() else weights[units]
        for metric, statistic in statistics.items():
            parts[metric].append(statistic.under(of_samples))
    return {metric: np.concatenate(found, axis=1) for metric, found in parts.items()}


def draw(count: int, resamples: int, seed: int) -> Iterator[Array]:
    """Draw with replacement; yield how often each unit is in each resample, (count, some resamples)."""
    generator = np.random.default_rng(seed)
    step = max(1, min(resamples, MOST_VALUES // max(1, count)))
    for start in range(0, resamples, step):
        width = min(step, resamples - start)
        chosen = generator.integers(0, count, (width, count))
        places = chosen * width + np.arange(width)[:, None]
        counts = np.bincount(places.ravel(), minlength=count * width)
        yield counts.reshape(count, width).astype(np.float64)


def interval_of(value: float, drawn: Array, left_out: Array | None, confidence: float) -> Interval:
    """Return the interval of a value from its bootstrap distribution.

    Resamples in which the metric is not defined do not count. A value that lies beyond all resamples is taken
    to lie beyond half a resample, so that BCa is defined.

    Args:
        value: The metric.
        drawn: Its values on resamples.
        left_out: Its values without one unit each, for BCa; None for percentiles.
        confidence: Between 0 and 1.
    """
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(known):
        return Interval(value=value)
    correction = _Correction.of(value, known, left_out)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [correction.apply(tail), correction.apply(1 - tail)])
    return Interval(value=value, low=float(low), high=float(high))


def p_value_of_zero(value: float, drawn: Array, left_out: Array | None) -> float:
    """Return the two-sided p-value of a value being 0: the level at which its interval begins to hold 0.

    Of B resamples the smallest is 2 / (B + 1), since the sample itself counts as one of them (Davison
    and Hinkley, 1997).

    Args:
        value: A difference.
        drawn: Its values on resamples.
        left_out: Its values without one unit each, for BCa; None for percentiles.

    Returns:
        NaN where the value is not defined or not finite.
    """
    known = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(known):
        return math.nan
    correction = _Correction.of(value, known, left_out)
    least = 1 / (len(known) + 1)
    below, above = (
        min(least * (1 + float(side.sum())), 1 - least) for side in (known <= 0, known >= 0)
    )  # a share of 1 would have no quantile
    p_value = 2 * min(correction.undo(below), 1 - correction.undo(1 - above))
    return min(1.0, max(p_value, 2 * least))


@dataclass(frozen=True, kw_only=True)
class _Correction:
    """What moves the quantiles of a percentile interval to those of BCa (Efron, 1987; DiCiccio, 1996)."""

    bias: float = 0.0
    acceleration: float = 0.0

    @classmethod
    def of(cls, value: float, drawn: Array, left_out: Array | None) -> _Correction:
        """Estimate it; none without a jackknife."""
        if left_out is None:
            return cls()
        below = float((drawn < value).mean() + (drawn <= value).mean()) / 2
        least = 0.5 / len(drawn)
        return cls(
            bias=NORMAL.inv_cdf(min(max(below, least), 1 - least)),
            acceleration=_acceleration(left_out[np.isfinite(left_out)]),
        )

    def apply(self, share: float) -> float:
        """Return the quantile to take for a share of the normal distribution."""
        moved = self.bias + NORMAL.inv_cdf(share)
        return NORMAL.cdf(self.bias + moved / (1 - self.acceleration * moved))

    def undo(self, share: float) -> float:
        """Return the share that a quantile is taken for."""
        moved = NORMAL.inv_cdf(share) - self.bias
        return NORMAL.cdf(moved / (1 + self.acceleration * moved) - self.bias)


def _acceleration(left_out: Array) -> float:
    """Return a sixth of the skewness of the jackknife's influences; 0 where they differ by rounding only."""
    if not len(left_out) or np.ptp(left_out) <= ROUNDING * np.abs(left_out).max():
        return 0.0
    influence = left_out.mean() - left_out
    return float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))
