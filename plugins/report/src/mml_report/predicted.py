"""What the newest models of a task predicted, as pieces of HTML, by the type of the task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mml_core.api import Predictions
from mml_report.charts import line_chart
from mml_report.html import note, table, text
from mml_report.judging import (
    CLASSIFICATION,
    MEASURES,
    MULTILABEL,
    REGRESSION,
    SEGMENTATION,
    Array,
    Sample,
    chances_of,
    extremes,
    known,
    numbers,
)
from mml_report.sets import ModelSet
from mml_report.thumbnails import Thumbnails

BINS = 15
"""Of equal width, as for the metric ``ece``."""
MOST_CLASSES = 30
"""A confusion matrix of more classes is left out."""
DOTS = 400
"""So many points a scatter plot has."""


def names_of(models: ModelSet, classes: Sequence[str]) -> list[str]:
    """Return the names of classes, labels or values; their numbers where those known do not fit."""
    width = models.parts[0].output.width
    return list(classes) if len(classes) == width else [str(number) for number in range(width)]


def confusion(models: ModelSet, classes: Sequence[str], task: str) -> str:
    """How often each class, or pixel of a class, was taken for each, over all folds."""
    names = names_of(models, classes)
    if models.task_type == MULTILABEL:
        return _labels(models, names, task)
    if models.task_type == REGRESSION:
        return _scatter(models, names, task)
    if len(names) > MOST_CLASSES:
        return note(f"{len(names)} classes: no confusion matrix is drawn of more than {MOST_CLASSES}.")
    counts = _counts(models, len(names))
    what = "pixels" if models.task_type == SEGMENTATION else "samples"
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in names)
    body = []
    for name, row in zip(names, counts, strict=True):
        total = max(1, int(row.sum()))
        cells = "".join(
            f'<td class="number" style="--share:{count / total:.2f}">{count}</td>' for count in row.tolist()
        )
        body.append(f'<tr><th scope="row">{text(name)}</th>{cells}</tr>')
    caption = text(f"Confusion of {task} ({what}) on {of(models)}: rows are true, columns predicted")
    return (
        f'<div class="wide"><table class="confusion"><caption><span>{caption}</span></caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def of(models: ModelSet) -> str:
    """Say of which predictions something is."""
    folds = f", {len(models.parts)} folds together" if len(models.parts) > 1 else ""
    return f"{models.split}, {models.name}{folds}"


def _counts(models: ModelSet, width: int) -> Array:
    counts = np.zeros((width, width), dtype=np.int64)
    for part in models.parts:
        if models.task_type == CLASSIFICATION:
            rows = known(part)
            pairs = [(np.asarray(part.targets)[rows], chances_of(part).argmax(axis=1)[rows])]
        else:
            masks = zip(part.targets or (), part.outputs, strict=True)
            pairs = [(np.asarray(true).ravel(), np.asarray(said).ravel()) for true, said in masks]
        for true, said in pairs:
            true, said = true.astype(np.int64), said.astype(np.int64)
            kept = (true >= 0) & (true < width) & (true != part.output.ignore_index)
            counts += np.bincount(true[kept] * width + said[kept], minlength=width**2).reshape(width, width)
    return counts


def _labels(models: ModelSet, names: Sequence[str], task: str) -> str:
    """Of each label the four counts at a probability of 0.5."""
    said = np.concatenate([chances_of(part) for part in models.parts])
    true = np.concatenate([numbers(part.targets) for part in models.parts])
    rows = []
    for column, name in enumerate(names):
        kept = np.isfinite(true[:, column])
        is_true, is_said = true[kept, column] > 0.5, said[kept, column] > 0.5
        rows.append(
            (
                name,
                int((is_true & is_said).sum()),
                int((~is_true & is_said).sum()),
                int((is_true & ~is_said).sum()),
                int((~is_true & ~is_said).sum()),
            )
        )
    columns = ("label", "rightly said", "wrongly said", "missed", "rightly not said")
    return table(f"Confusion of {task} at a probability of 0.5 on {of(models)}", columns, rows)


def _scatter(models: ModelSet, names: Sequence[str], task: str) -> str:
    """Predicted over true values, some of many."""
    points: dict[str, list[tuple[float, float]]] = {}
    for part in models.parts:
        true = numbers(part.targets).reshape(len(part.sample_ids), -1)
        said = numbers(part.outputs).reshape(true.shape)
        for column, name in enumerate(names):
            label = "samples" if len(names) == 1 else name
            points.setdefault(label, []).extend(
                zip(true[:, column].tolist(), said[:, column].tolist(), strict=True)
            )
    step = max(1, -(-sum(map(len, points.values())) // DOTS))
    drawn = line_chart(
        {name: each[::step] for name, each in points.items()},
        x="true value",
        y="predicted value",
        title=f"predicted over true values of {task}",
        square=True,
        dots=True,
    )
    some = f", one sample of {step}" if step > 1 else ""
    caption = text(f"Predicted over true values of {task} on {of(models)}{some}")
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>" if drawn else ""


def calibration(models: ModelSet, task: str) -> str:
    """How often models are right that state a probability, in bins."""
    if models.task_type not in (CLASSIFICATION, MULTILABEL):
        return ""
    stated, right = (np.concatenate(found) for found in zip(*map(_stated, models.parts), strict=True))
    if not len(stated):
        return ""
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    used = [bins == place for place in np.unique(bins)]
    points = [(float(stated[rows].mean()), float(right[rows].mean())) for rows in used]
    gap = sum(abs(a - b) * float(rows.mean()) for rows, (a, b) in zip(used, points, strict=True))
    label = models.task_type == MULTILABEL
    drawn = line_chart(
        {f"{len(stated)} {'labels' if label else 'samples'}, expected calibration error {gap:.4f}": points},
        x="probability of the label" if label else "probability of the predicted class",
        y="share that is true" if label else "share that is right",
        title=f"calibration of {task}",
        square=True,
    )
    caption = text(f"Calibration of {task} on {of(models)}")
    return f"<figure><figcaption>{caption}</figcaption>{drawn}</figure>"


def _stated(part: Predictions) -> tuple[Array, Array]:
    """Return the stated probabilities and what came of them, of what is known."""
    chances = chances_of(part)
    if part.output.task_type == MULTILABEL:
        true = numbers(part.targets)
        rows = np.isfinite(true)
        return chances[rows], true[rows]
    rows = known(part)
    return chances.max(axis=1)[rows], (chances.argmax(axis=1) == np.asarray(part.targets))[rows]


def samples(models: ModelSet, classes: Sequence[str], task: str, pictures: Thumbnails, count: int) -> str:
    """The samples that models get the most wrong, and the most right, with their images."""
    worst, best = extremes(models.parts, names_of(models, classes), count)
    measure = MEASURES[models.task_type]
    outlines = " (green: outline of the true mask, pink: of the predicted one)"
    how = f"by {measure}{outlines if models.task_type == SEGMENTATION else ''}, {of(models)}"

    def row(sample: Sample) -> tuple[object, ...]:
        return (
            pictures.draw(task, sample),
            sample.sample_id,
            sample.subject,
            sample.true,
            sample.said,
            sample.measure,
            sample.fold if sample.fold >= 0 else None,
        )

    columns = ("image", "sample", "subject", "true", "predicted", measure, "fold")
    total = len({name for part in models.parts for name in part.sample_ids})
    more = f"Of {total} samples {len(worst)} are shown each way." if total > len(worst) > 0 else ""
    return (
        table(f"Worst samples of {task} {how}", columns, list(map(row, worst)), "samples")
        + table(f"Best samples of {task}", columns, list(map(row, best)), "samples")
        + note(more)
    )
