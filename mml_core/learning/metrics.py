"""Metrics by task type, computed by torchmetrics from outputs and targets of a whole split."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        Name → value; NaN where a metric is not defined on these samples.
    """
    if len(outputs) == 0:
        return dict.fromkeys(names, NAN)
    functions = BY_TYPE[task_type]
    outputs = outputs.detach().to("cpu", torch.float32)
    return {name: float(functions[name](outputs, targets.detach().cpu())) for name in names}


def dice_per_image(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """Return Dice per image and foreground class, NaN where neither mask has the class.

    Args:
        predicted: Class numbers (N, H, W).
        target: Class numbers (N, H, W).
        classes: Number of classes with the background.
    """
    from torchmetrics.functional.segmentation import dice_score

    result: Tensor = dice_score(
        predicted.long(),
        target.long(),
        num_classes=classes,
        include_background=False,
        average="none",
        input_format="index",
    )
    return result


def _accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    from torchmetrics.functional.classification import multiclass_accuracy

    return multiclass_accuracy(logits, targets, logits.shape[1], average="micro")


def _balanced_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    from torchmetrics.functional.classification import multiclass_recall

    recall = multiclass_recall(logits, targets, logits.shape[1], average="none")
    return recall[torch.bincount(targets, minlength=logits.shape[1]) > 0].mean()


def _auroc(logits: Tensor, targets: Tensor) -> float:
    from torchmetrics.functional.classification import binary_auroc

    probabilities = logits.softmax(1)
    counts = torch.bincount(targets, minlength=logits.shape[1])
    if logits.shape[1] == 2:
        classes = [1] if 0 < int(counts[1]) < len(targets) else []
    else:
        classes = [index for index, count in enumerate(counts.tolist()) if 0 < count < len(targets)]
    scores = [float(binary_auroc(probabilities[:, index], (targets == index).int())) for index in classes]
    return sum(scores) / len(scores) if scores else NAN


def _f1(logits: Tensor, targets: Tensor) -> Tensor:
    from torchmetrics.functional.classification import multiclass_f1_score

    return multiclass_f1_score(logits, targets, logits.shape[1], average="macro")


def _label_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    from torchmetrics.functional.classification import multilabel_accuracy

    return multilabel_accuracy(logits.sigmoid(), (targets > 0.5).int(), logits.shape[1], average="macro")


def _label_auroc(logits: Tensor, targets: Tensor) -> float:
    from torchmetrics.functional.classification import binary_auroc

    truth = (targets > 0.5).int()
    scores = [
        float(binary_auroc(logits[:, index].sigmoid(), truth[:, index]))
        for index in range(logits.shape[1])
        if 0 < int(truth[:, index].sum()) < len(truth)
    ]
    return sum(scores) / len(scores) if scores else NAN


def _label_f1(logits: Tensor, targets: Tensor) -> Tensor:
    from torchmetrics.functional.classification import multilabel_f1_score

    return multilabel_f1_score(logits.sigmoid(), (targets > 0.5).int(), logits.shape[1], average="macro")


def _per_value(function: Callable[[Tensor, Tensor], Tensor], at_least: int) -> Callable[..., float]:
    def compute(values: Tensor, targets: Tensor) -> float:
        scores = []
        for predicted, truth in zip(values.T, targets.to(values.dtype).reshape(values.shape).T, strict=True):
            known = ~torch.isnan(truth)
            if int(known.sum()) >= at_least:
                scores.append(float(function(predicted[known], truth[known])))
        return sum(scores) / len(scores) if scores else NAN

    return compute


def _absolute_error(predicted: Tensor, truth: Tensor) -> Tensor:
    from torchmetrics.functional.regression import mean_absolute_error

    return mean_absolute_error(predicted, truth)


def _squared_error(predicted: Tensor, truth: Tensor) -> Tensor:
    from torchmetrics.functional.regression import mean_squared_error

    result: Tensor = mean_squared_error(predicted, truth)
    return result


def _r2(predicted: Tensor, truth: Tensor) -> Tensor:
    from torchmetrics.functional.regression import r2_score

    return r2_score(predicted, truth)


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
    REGRESSION: {
        "mae": _per_value(_absolute_error, 1),
        "mse": _per_value(_squared_error, 1),
        "r2": _per_value(_r2, 2),
    },
    SEGMENTATION: {"dice": _dice, "iou": _iou},
}
