"""Metrics by task type, computed in float64 from outputs and targets of a whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mml_core.learning import class_metrics, image_metrics, label_metrics, value_metrics
from mml_core.learning.options import OptionError, choose, require_known
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TRAINABLE
from mml_core.learning.statistics import Array, Statistic

NAN = math.nan
NO_LABEL = -1
SETTINGS = ("per_class", "intervals", "plots")
"""What the config group ``metrics`` holds besides a list for each task type."""

BY_TYPE: dict[str, Mapping[str, Callable[[Any], Statistic]]] = {
    CLASSIFICATION: class_metrics.METRICS,
    MULTILABEL: label_metrics.METRICS,
    REGRESSION: value_metrics.METRICS,
    SEGMENTATION: image_metrics.METRICS,
}
OUTCOMES: dict[str, Callable[..., Any]] = {
    CLASSIFICATION: class_metrics.ClassOutcome,
    MULTILABEL: label_metrics.LabelOutcome,
    REGRESSION: value_metrics.ValueOutcome,
}
LESS_IS_BETTER = frozenset({"brier", "ece", "nll", "mae", "mse", "rmse", "hd95"})


def metric_names(config: dict[str, Any], task_type: str) -> tuple[str, ...]:
    """Read the metrics of one task type from the config group ``metrics``.

    Raises:
        OptionError: If a metric is unknown; near matches are named.
    """
    require_known("metrics", config, (*TRAINABLE, *SETTINGS))
    names = config.get(task_type) or ()
    if isinstance(names, str):
        raise OptionError(f"metrics.{task_type} must be a list, found '{names}'; write [{names}].")
    for name in names:
        choose(f"metric for {task_type} tasks", name, BY_TYPE[task_type])
    return tuple(names)


def statistics_of(
    task_type: str, names: Sequence[str], outputs: Tensor, targets: Tensor, *, per_class: bool = False
) -> dict[str, Statistic]:
    """Prepare metrics on the samples of a split, each as a function of how often a sample counts.

    Args:
        task_type: Type of the task.
        names: Metrics.
        outputs: Logits (N, classes); logits (N, labels); values (N, K) on the targets' scale; or, for
            segmentation, what :func:`~mml_core.learning.image_metrics.image_scores` gives, (N, 4, classes -
            1).
        targets: Class numbers (N); shares of labels (N, labels); values (N, K); ignored for segmentation. No
            NaN in class numbers; what is NaN elsewhere is not known and does not count.
        per_class: Whether the values of classes, labels or regression values are given beside the metric.
    """
    numbers: Array = outputs.detach().cpu().double().numpy()
    outcome: Any
    if task_type == SEGMENTATION:
        outcome = image_metrics.ImageOutcome(numbers, per_class=per_class)
    else:
        truth: Array = targets.detach().cpu().numpy()
        truth = truth.astype(np.int64 if task_type == CLASSIFICATION else np.float64)
        outcome = OUTCOMES[task_type](numbers, truth, per_class=per_class)
    return {name: BY_TYPE[task_type][name](outcome) for name in names}


def compute_metrics(
    task_type: str, names: Sequence[str], outputs: Tensor, targets: Tensor
) -> dict[str, float]:
    """Compute metrics over all samples of a split.

    Args:
        task_type: Type of the task.
        names: Metrics to compute.
        outputs: See :func:`statistics_of`.
        targets: See :func:`statistics_of`.

    Returns:
        Name → value; NaN where a metric is not defined on these samples, and all NaN where an output is, as
        those of a model that has diverged are.
    """
    if len(outputs) == 0 or has_diverged(task_type, outputs):
        return dict.fromkeys(names, NAN)
    statistics = statistics_of(task_type, names, outputs, targets)
    once = np.ones((len(outputs), 1))
    return {name: float(statistic.under(once)[0, 0]) for name, statistic in statistics.items()}


def has_diverged(task_type: str, outputs: Tensor) -> bool:
    """Whether an output gives no prediction: NaN, or infinite; the masks of a segmentation do not show it.

    A logit may be -inf, of multilabel tasks +inf too: probabilities of 0 and 1.
    """
    if task_type == SEGMENTATION or len(outputs) == 0:
        return False
    if task_type == MULTILABEL:
        return bool(outputs.isnan().any())
    largest = outputs.amax(1) if task_type == CLASSIFICATION else outputs
    return not bool(largest.isfinite().all())
