"""Metrics by task type, computed in float64 from outputs and targets of a whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from mml_core.learning.options import OptionError, choose, require_known
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TRAINABLE

NAN = math.nan


def metric_names(config: dict[str, Any], task_type: str) -> tuple[str, ...]:
    """Read the metrics of one task type from the config group ``metrics``.

    Raises:
        OptionError: If a metric is unknown; near matches are named.
    """
    require_known("metrics", config, TRAINABLE)
    names = config.get(task_type) or ()
    if isinstance(names, str):
        raise OptionError(f"metrics.{task_type} must be a list, found '{names}'; write [{names}].")
    for name in names:
        choose(f"metric for {task_type} tasks", name, BY_TYPE[task_type])
    return tuple(names)


def compute_metrics(
    task_type: str, names: Sequence[str], outputs: Tensor, targets: Tensor
) -> dict[str, float]:
    """Compute metrics over all samples of a split.

    Args:
        task_type: Type of the task.
        names: Metrics to compute.
        outputs: Logits (N, classes); logits (N, labels); values (N, K) on the targets' scale; or, for
            segmentation, Dice per image and foreground class (N, classes - 1) as
            :func:`dice_per_image` gives it.
        targets: Class numbers (N); labels (N, labels); values (N, K); ignored for segmentation.

    Returns:
        Name → value; NaN where a metric is not defined on these samples, and all NaN where an output is, as
        those of a model that has diverged are.
    """
    outputs, targets = outputs.detach().cpu().double(), targets.detach().cpu()
    diverged = task_type != SEGMENTATION and bool(outputs.isnan().any())
    if len(outputs) == 0 or diverged:
        return dict.fromkeys(names, NAN)
    functions = BY_TYPE[task_type]
    return {name: float(functions[name](outputs, targets)) for name in names}


def dice_per_image(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Return Dice per image and foreground class, NaN where neither mask has the class.

    Args:
        predicted: Class numbers (N, H, W), of any integer type.
        target: Class numbers (N, H, W).
        classes: Number of classes with the background.
    """
    overlap, total = [], []
    for number in range(1, classes):
        found, there = predicted == number, target == number
        overlap.append((found & there).sum((1, 2)))
        total.append(found.sum((1, 2)) + there.sum((1, 2)))
    if not total:
        return torch.empty((len(predicted), 0), dtype=torch.float64)
    return 2 * torch.stack(overlap, 1).cpu().double() / torch.stack(total, 1).cpu()


def _counts(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return per class how many samples are put into it rightly, are put into it, and belong there."""
    chosen, classes = logits.argmax(1), logits.shape[1]
    parts = (chosen[chosen == targets], chosen, targets)
    right, found, there = (torch.bincount(part, minlength=classes).double() for part in parts)
    return right, found, there


def _accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(1) == targets).double().mean()


def _balanced_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    right, _, there = _counts(logits, targets)
    return (right / there)[there > 0].mean()


def _f1(logits: Tensor, targets: Tensor) -> Tensor:
    right, found, there = _counts(logits, targets)
    return (2 * right / (found + there))[found + there > 0].mean()


def _auroc(logits: Tensor, targets: Tensor) -> float:
    # One class against the rest is ranked by log-odds: probabilities of a sure net are all 1 to the last bit.
    classes = range(logits.shape[1]) if logits.shape[1] > 2 else [1]
    return _mean(
        _ranked(logits[:, index] - _without(logits, index).logsumexp(1), targets == index)
        for index in classes
    )


def _without(logits: Tensor, index: int) -> Tensor:
    return torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)


def _label_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    return ((logits > 0) == (targets > 0.5)).double().mean()


def _label_auroc(logits: Tensor, targets: Tensor) -> float:
    return _mean(_ranked(logits[:, index], targets[:, index] > 0.5) for index in range(logits.shape[1]))


def _label_f1(logits: Tensor, targets: Tensor) -> Tensor:
    found, there = logits > 0, targets > 0.5
    right, total = (found & there).sum(0), found.sum(0) + there.sum(0)
    return (2 * right.double() / total.clamp(min=1)).mean()


def _ranked(scores: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve: the share of pairs in the right order (Mann and Whitney, 1947).

    Ties count half. NaN where all samples are positive, or none is.
    """
    _, places, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0) - (counts.double() - 1) / 2)[places]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return NAN
    surplus = float(ranks[positive].sum()) - positives * (positives + 1) / 2
    return surplus / (positives * negatives)


def _mean(scores: Iterable[float]) -> float:
    known = [score for score in scores if not math.isnan(score)]
    return math.fsum(known) / len(known) if known else NAN


def _mae(values: Tensor, targets: Tensor) -> Tensor:
    return (values - targets.reshape(values.shape)).abs().mean()


def _mse(values: Tensor, targets: Tensor) -> Tensor:
    return (values - targets.reshape(values.shape)).square().mean()


def _r2(values: Tensor, targets: Tensor) -> Tensor | float:
    if len(values) < 2:
        return NAN
    truth = targets.reshape(values.shape).double()
    left, total = (values - truth).square().sum(0), (truth - truth.mean(0)).square().sum(0)
    constant = torch.where(left == 0, 1.0, 0.0)  # what scikit-learn gives where the truth is constant
    return torch.where(total == 0, constant.double(), 1 - left / total).mean()


def _dice(dice: Tensor, targets: Tensor) -> Tensor:
    return dice.nanmean(1).nanmean()


def _iou(dice: Tensor, targets: Tensor) -> Tensor:
    return (dice / (2 - dice)).nanmean(1).nanmean()  # per image and class both follow from the same counts


BY_TYPE: dict[str, dict[str, Callable[[Tensor, Tensor], Any]]] = {
    CLASSIFICATION: {
        "accuracy": _accuracy,
        "balanced_accuracy": _balanced_accuracy,
        "auroc": _auroc,
        "f1": _f1,
    },
    MULTILABEL: {"accuracy": _label_accuracy, "auroc": _label_auroc, "f1": _label_f1},
    REGRESSION: {"mae": _mae, "mse": _mse, "r2": _r2},
    SEGMENTATION: {"dice": _dice, "iou": _iou},
}
