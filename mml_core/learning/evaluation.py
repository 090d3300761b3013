"""Metrics of predictions: from one model's outputs on a split to values and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mml_core.learning.image_metrics import image_scores, needs_surface
from mml_core.learning.intervals import Interval, intervals_of, units_of
from mml_core.learning.metrics import BY_TYPE, NO_LABEL, has_diverged, statistics_of
from mml_core.learning.options import choose
from mml_core.learning.outputs import CLASSIFICATION, SEGMENTATION
from mml_core.learning.predictions import Predictions, PredictionsError
from mml_core.learning.results import Score
from mml_core.learning.statistics import Statistic

if TYPE_CHECKING:
    from mml_core.learning.evaluation_options import EvaluationOptions


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Metrics that are ready to be computed on any choice of the samples that have a target.

    Attributes:
        sample_ids: Names of these samples.
        subject_ids: Of which subject each is, None for those of none; None where no subjects are known.
        statistics: The metrics; empty where there are no such samples, or the model has diverged.
    """

    sample_ids: Sequence[str]
    subject_ids: Sequence[str | None] | None
    statistics: dict[str, Statistic]


def prepare(predictions: Predictions, names: Sequence[str], *, per_class: bool = False) -> Prepared | None:
    """Prepare metrics of predictions.

    Args:
        predictions: Of one split.
        names: Metrics.
        per_class: Whether the values of classes are given, too.

    Returns:
        None where the samples have no targets.

    Raises:
        OptionError: A metric is unknown.
        PredictionsError: A target is no class of the model.
    """
    task_type = predictions.output.task_type
    for name in names:
        choose(f"metric for {task_type} tasks", name, BY_TYPE[task_type])
    if predictions.targets is None:
        return None
    outputs, targets = _evidence(predictions, surface=needs_surface(names))
    if task_type == CLASSIFICATION:
        _require_classes(predictions, targets)
    names_of_samples, subjects = predictions.sample_ids, predictions.subject_ids
    known = _labelled(task_type, targets)
    if not known.all():
        outputs, targets = outputs[known], targets[known]
        names_of_samples = list(compress(names_of_samples, known.tolist()))
        subjects = None if subjects is None else list(compress(subjects, known.tolist()))
    usable = len(outputs) > 0 and not has_diverged(task_type, outputs)
    return Prepared(
        sample_ids=names_of_samples,
        subject_ids=subjects,
        statistics=statistics_of(task_type, names, outputs, targets, per_class=per_class) if usable else {},
    )


def _labelled(task_type: str, targets: Tensor) -> Tensor:
    """Return which samples have a target, (N); of a segmentation all."""
    if task_type == SEGMENTATION:
        return torch.ones(len(targets), dtype=torch.bool)
    if task_type == CLASSIFICATION:
        return targets != NO_LABEL
    missing = targets.isnan()
    return ~(missing if missing.ndim == 1 else missing.all(1))


def _require_classes(predictions: Predictions, targets: Tensor) -> None:
    strange = targets[(targets < NO_LABEL) | (targets >= predictions.output.width)]
    if len(strange):
        raise PredictionsError(
            f"A target of task '{predictions.output.task}' is class {int(strange[0])}, and the model has"
            f" classes 0 to {predictions.output.width - 1}; evaluate it on its own task."
        )


def evaluate(predictions: Predictions, names: Sequence[str]) -> dict[str, float]:
    """Compute metrics of predictions; samples without target do not count.

    Returns:
        Name → value, NaN where it is not defined; empty where the samples have no targets.

    Raises:
        OptionError: A metric is unknown.
        PredictionsError: A target is no class of the model.
    """
    prepared = prepare(predictions, names)
    if prepared is None:
        return {}
    once = np.ones((len(prepared.sample_ids), 1))
    return {
        name: float(prepared.statistics[name].under(once)[0, 0]) if prepared.statistics else math.nan
        for name in names
    }


def measure(
    predictions: Predictions, options: EvaluationOptions, *, seed: int, class_names: Sequence[str] = ()
) -> list[Score]:
    """Compute what the config asks for: metrics of predictions, with values of classes and intervals.

    Args:
        predictions: Of one split.
        options: What is computed.
        seed: Of the resamples of intervals.
        class_names: Names of what a metric has several values of: classes (of a segmentation those of the
            foreground), labels or regression values; their numbers by default.

    Returns:
        A row for each value; none where the samples have no targets.

    Raises:
        OptionError: A metric is unknown.
        PredictionsError: A target is no class of the model.
    """
    prepared = prepare(predictions, options.metrics, per_class=options.per_class)
    if prepared is None:
        return []
    how = options.intervals
    found: dict[str, list[Interval]] = {}
    if not prepared.statistics:
        found = {metric: [Interval(value=math.nan)] for metric in options.metrics}
    elif how is not None:
        units, count = units_of(prepared.sample_ids, prepared.subject_ids if how.by_subject else None)
        found = intervals_of(prepared.statistics, units, count, how, seed=seed)
    else:
        once = np.ones((len(prepared.sample_ids), 1))
        for metric, statistic in prepared.statistics.items():
            values = statistic.under(once)[:, 0].tolist()
            found[metric] = [Interval(value=value) for value in values]
    common: dict[str, Any] = {
        "task": predictions.output.task,
        "fold": predictions.fold,
        "split": predictions.split,
        "confidence": None if how is None else how.confidence,
    }
    return [
        Score(
            metric=metric,
            value=interval.value,
            class_name=_class_name(class_names, row),
            low=None if how is None else interval.low,
            high=None if how is None else interval.high,
            **common,
        )
        for metric, intervals in found.items()
        for row, interval in enumerate(intervals)
    ]


def _class_name(names: Sequence[str], row: int) -> str | None:
    if not row:
        return None
    return names[row - 1] if row <= len(names) else str(row - 1)


def image_scores_of(predictions: Predictions, *, surface: bool = False) -> Tensor:
    """Return what the metrics of a segmentation need of each image, (N, 4, classes - 1).

    See :func:`~mml_core.learning.image_metrics.image_scores`; images may be of unequal sizes.

    Args:
        predictions: Masks, with targets.
        surface: Whether the Hausdorff distance is wanted.
    """
    output = predictions.output
    assert predictions.targets is not None
    scores = [
        image_scores(mask[None], truth[None], output.width, ignore_index=output.ignore_index, surface=surface)
        for mask, truth in zip(predictions.outputs, predictions.targets, strict=True)
    ]
    return torch.cat(scores) if scores else torch.empty(0)


def _evidence(predictions: Predictions, *, surface: bool) -> tuple[Tensor, Tensor]:
    if predictions.output.task_type == SEGMENTATION:
        scores = image_scores_of(predictions, surface=surface)
        return scores, torch.empty(len(scores))
    outputs, targets = predictions.outputs, predictions.targets
    assert isinstance(outputs, Tensor) and isinstance(targets, Tensor)
    return outputs, targets
