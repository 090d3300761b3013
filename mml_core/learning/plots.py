"""Plots of predictions as PNG: the same predictions give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from mml_core.learning.binning import BINS, bin_of
from mml_core.learning.class_metrics import ClassOutcome
from mml_core.learning.evaluation import image_scores_of
from mml_core.learning.image_metrics import dice_of
from mml_core.learning.label_metrics import LabelOutcome
from mml_core.learning.metrics import NO_LABEL, OUTCOMES, has_diverged
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION
from mml_core.learning.statistics import Array, Ranking
from mml_core.learning.value_metrics import ValueOutcome

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

MOST_NAMES = 30
"""Of more classes the axes have numbers instead of names, and cells no counts."""
MOST_PANELS = 6
"""Of more regression values the first are drawn."""
DOTS_PER_INCH = 120


def draw_plot(name: str, predictions: Predictions, class_names: Sequence[str] = ()) -> bytes | None:
    """Draw one plot of predictions.

    Args:
        name: One of ``PLOTS``.
        predictions: Of one split.
        class_names: Names of classes (of a segmentation those of the foreground), labels or regression
            values; their numbers by default.

    Returns:
        A PNG; None where the type of task has no such plot, there are no targets, or the model has diverged.
    """
    task_types, draw = PLOTS[name]
    outcome = _outcome(predictions) if predictions.output.task_type in task_types else None
    if outcome is None:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(class_names) or [str(number) for number in range(predictions.output.width)]
    buffer = io.BytesIO()
    with rc_context({"font.family": "DejaVu Sans", "text.usetex": False}):
        figure = Figure(figsize=(5.5, 5), layout="constrained")
        draw(figure, outcome, names)
        title = f"{predictions.output.task}, fold {predictions.fold}, {predictions.split}"
        figure.suptitle(title, parse_math=False)
        # No version of matplotlib in the file, so that it is the same whenever it is drawn.
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _outcome(predictions: Predictions) -> Any:
    """Return what plots are drawn of; None where there is nothing to draw."""
    outputs, targets, task_type = predictions.outputs, predictions.targets, predictions.output.task_type
    if targets is None or not len(outputs):
        return None
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return image_scores_of(predictions)
    if task_type == CLASSIFICATION:
        outputs, targets = outputs[targets != NO_LABEL], targets[targets != NO_LABEL]
    if not len(outputs) or has_diverged(task_type, outputs):
        return None
    return OUTCOMES[task_type](outputs.double().numpy(), targets.numpy())


def confusion_matrix(outcome: ClassOutcome) -> Array:
    """Return how many samples of each class (rows) are put into each class (columns)."""
    cells = outcome.targets * outcome.classes + outcome.chosen
    counts: Array = np.bincount(cells, minlength=outcome.classes**2)
    return counts.reshape(outcome.classes, outcome.classes)


def calibration_curve(stated: Array, true: Array) -> tuple[Array, Array, Array]:
    """Return mean probability, share of what is true and number of samples of each bin that has some.

    Args:
        stated: Probabilities (samples,).
        true: Whether it is so, or its share, (samples,).
    """
    bins = bin_of(stated)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts > 0
    means = [np.bincount(bins, each, minlength=BINS)[kept] / counts[kept] for each in (stated, true)]
    return means[0], means[1], counts[kept]


def roc_curve(scores: Array, positive: Array) -> tuple[Array, Array]:
    """Return the rates of false and true positives at each threshold, from the strictest on."""
    order = np.argsort(-scores, kind="stable")
    falling, right = scores[order], positive[order]
    ends = np.r_[np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1]
    found, false = right.cumsum()[ends], (~right).cumsum()[ends]
    with np.errstate(invalid="ignore"):
        return np.r_[0, false / (~right).sum()], np.r_[0, found / right.sum()]


def _draw_confusion(figure: Any, outcome: ClassOutcome, names: Sequence[str]) -> None:
    axes = figure.subplots()
    counts = confusion_matrix(outcome)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) > MOST_NAMES:
        return
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)


def _draw_calibration(figure: Any, outcome: ClassOutcome | LabelOutcome, names: Sequence[str]) -> None:
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="perfect")
    if isinstance(outcome, ClassOutcome):
        right = (outcome.chosen == outcome.targets).astype(np.float64)
        curves = [("chosen class", outcome.probabilities.max(axis=1), right)]
    else:
        curves = [
            (name, outcome.probabilities[known, index], outcome.targets[known, index])
            for index, (name, known) in enumerate(zip(names, outcome.known.T, strict=True))
        ]
    for name, stated, true in curves:
        mean, share, _ = calibration_curve(stated, true)
        axes.plot(mean, share, marker="o", markersize=4, label=_label(name))
    axes.set(xlabel="mean probability", ylabel="share that is true", xlim=(0, 1), ylim=(0, 1))
    _add_legend(axes, len(curves))


def _draw_roc(figure: Any, outcome: ClassOutcome | LabelOutcome, names: Sequence[str]) -> None:
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="chance")
    chosen = [1] if isinstance(outcome, ClassOutcome) and outcome.classes == 2 else range(len(names))
    for index in chosen:
        if isinstance(outcome, ClassOutcome):
            scores, positive = outcome.log_odds(index), outcome.targets == index
        else:
            known = outcome.known[:, index]
            scores, positive = outcome.logits[known, index], outcome.there[known, index]
        if 0 < positive.sum() < len(positive):
            false, true = roc_curve(scores, positive)
            area = Ranking(scores, positive).auroc(np.ones((len(scores), 1)))[0]
            axes.plot(false, true, label=f"{_label(names[index])} ({area:.3f})")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    _add_legend(axes, len(chosen))


def _draw_scatter(figure: Any, outcome: ValueOutcome, names: Sequence[str]) -> None:
    shown = range(min(len(names), MOST_PANELS))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for index, axes in zip(shown, panels, strict=True):
        known = outcome.known[:, index]
        true = outcome.targets[known, index]
        predicted = true + outcome.errors[known, index]
        axes.scatter(true, predicted, s=8, alpha=0.5)
        if len(true):
            ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
            axes.plot(ends, ends, linestyle="--", color="grey")
        axes.set(xlabel="true", ylabel="predicted")
        axes.set_title(names[index], parse_math=False)


def _draw_dice(figure: Any, scores: Tensor, names: Sequence[str]) -> None:
    axes = figure.subplots()
    dice = dice_of(scores.numpy())
    of_classes = [column[~np.isnan(column)] for column in dice.T]
    axes.boxplot(of_classes, showmeans=True)
    axes.set(ylabel="Dice of an image", ylim=(-0.02, 1.02))
    if len(of_classes) <= MOST_NAMES:
        axes.set_xticks(
            range(1, len(of_classes) + 1), names[: len(of_classes)], rotation=90, parse_math=False
        )


def _label(name: str) -> str:
    """Keep a name from being left out of the legend, or read as a formula."""
    return name.lstrip("_").replace("$", r"\$") or "-"


def _add_legend(axes: Any, curves: int) -> None:
    if curves <= MOST_NAMES:
        axes.legend(loc="lower right", fontsize=8)


PLOTS: dict[str, tuple[tuple[str, ...], Callable[..., None]]] = {
    "confusion_matrix": ((CLASSIFICATION,), _draw_confusion),
    "calibration": ((CLASSIFICATION, MULTILABEL), _draw_calibration),
    "roc": ((CLASSIFICATION, MULTILABEL), _draw_roc),
    "scatter": ((REGRESSION,), _draw_scatter),
    "dice": ((SEGMENTATION,), _draw_dice),
}
"""Plots, each with the types of task it is drawn of."""
