"""How wrong a model is on each sample, and what it said beside what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.api import Predictions, probabilities

Array = NDArray[Any]
CLASSIFICATION, MULTILABEL, REGRESSION = "classification", "multilabel", "regression"
SEGMENTATION = "semantic_segmentation"
MEASURES = {
    CLASSIFICATION: "probability of the true class",
    MULTILABEL: "mean squared error of the probabilities",
    REGRESSION: "absolute error",
    SEGMENTATION: "Dice",
}
"""By what samples are ordered."""
MORE_IS_BETTER = (CLASSIFICATION, SEGMENTATION)
SHOWN = 4
"""So many labels or values are named of a sample."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample as one model saw it.

    Attributes:
        sample_id: Its name.
        subject: Of whom it is; None where that is not known.
        fold: Of the model.
        measure: What it was ordered by, see `MEASURES`.
        true: Its target, for readers.
        said: What the model said, for readers.
        masks: Of a segmentation the true and the predicted mask.
    """

    sample_id: str
    subject: str | None
    fold: int
    measure: float
    true: str
    said: str
    masks: tuple[Array, Array] | None


def chances_of(part: Predictions, rows: slice = slice(None)) -> Array:
    """Return probabilities (N, classes or labels) of a classification or multilabel task, or of some rows."""
    return np.asarray(probabilities(part.output.task_type, numbers(part.outputs[rows])))


def numbers(values: Any) -> Array:
    """Return a tensor as an array of float64."""
    return np.asarray(values.double().numpy(), dtype=float)


def known(part: Predictions) -> Array:
    """Return which samples of a classification have a class, (N,)."""
    return np.asarray(part.targets) >= 0


def measures(part: Predictions) -> Array:
    """Return how well each sample was predicted, (N,), see `MEASURES`; NaN without a target."""
    task_type = part.output.task_type
    if task_type == SEGMENTATION:
        pairs = zip(part.targets or (), part.outputs, strict=True)
        return np.array([_dice(np.asarray(true), np.asarray(said), part) for true, said in pairs])
    if task_type == CLASSIFICATION:
        target = np.asarray(part.targets)
        chosen = np.take_along_axis(chances_of(part), np.maximum(target, 0)[:, None], 1)[:, 0]
        return np.where(target >= 0, chosen, np.nan)
    target = numbers(part.targets).reshape(len(part.sample_ids), -1)
    if task_type == MULTILABEL:
        return _mean((chances_of(part) - target) ** 2)
    return _mean(np.abs(numbers(part.outputs).reshape(target.shape) - target))


def _mean(errors: Array) -> Array:
    """Return means over what is known of each sample; NaN where nothing is."""
    counts = np.isfinite(errors).sum(axis=1)
    sums = np.where(np.isfinite(errors), errors, 0.0).sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(errors), np.nan), where=counts > 0))


def _dice(true: Array, said: Array, part: Predictions) -> float:
    """Return the mean Dice over classes but the background that are in either mask; NaN where none is."""
    counts = np.ones(true.shape, dtype=bool)
    if part.output.ignore_index is not None:
        counts = true != part.output.ignore_index
    classes = [
        each for each in np.union1d(true[counts], said[counts]).tolist() if 0 < each < part.output.width
    ]
    values = []
    for each in classes:
        a, b = (true == each) & counts, (said == each) & counts
        values.append(2.0 * float((a & b).sum()) / float(a.sum() + b.sum()))
    return float(np.mean(values)) if values else float("nan")


def extremes(parts: Sequence[Predictions], classes: Sequence[str], count: int) -> tuple[list[Sample], ...]:
    """Return the worst and the best samples, each sample once with the fold that is worst or best on it."""
    task_type = parts[0].output.task_type
    found = [
        (float(value), part.sample_ids[row], place, row)
        for place, part in enumerate(parts)
        for row, value in enumerate(measures(part))
        if np.isfinite(value)
    ]
    sign = 1 if task_type in MORE_IS_BETTER else -1
    chosen = []
    for way in (sign, -sign):
        ordered: dict[str, tuple[float, str, int, int]] = {}
        for each in sorted(found, key=lambda each: (way * each[0], *each[1:])):
            if len(ordered) == count:
                break
            ordered.setdefault(each[1], each)
        chosen.append(
            [_sample(parts[place], row, value, classes) for value, _, place, row in ordered.values()]
        )
    return tuple(chosen)


def _sample(part: Predictions, row: int, value: float, classes: Sequence[str]) -> Sample:
    task_type = part.output.task_type
    names = list(classes)
    if len(names) != part.output.width:
        names = [str(number) for number in range(part.output.width)]
    masks = None
    if task_type == SEGMENTATION:
        masks = (np.asarray((part.targets or [])[row]), np.asarray(part.outputs[row]))
        true, said = (_covered(mask, names) for mask in masks)
    elif task_type == CLASSIFICATION:
        chances = chances_of(part, slice(row, row + 1))[0]
        best = int(chances.argmax())
        true, said = names[int(np.asarray(part.targets)[row])], f"{names[best]} ({chances[best]:.2f})"
    else:
        target = numbers(part.targets).reshape(len(part.sample_ids), -1)[row]
        here = slice(row, row + 1)
        output = chances_of(part, here) if task_type == MULTILABEL else numbers(part.outputs[here])
        true, said = _values(target, names, task_type), _values(output.reshape(-1), names, task_type)
    subjects = part.subject_ids
    return Sample(
        sample_id=part.sample_ids[row],
        subject=None if subjects is None else subjects[row],
        fold=part.fold,
        measure=value,
        true=true,
        said=said,
        masks=masks,
    )


def _covered(mask: Array, names: Sequence[str]) -> str:
    shares = [(name, float((mask == number).mean())) for number, name in enumerate(names) if number]
    return _listed([f"{name} {share:.1%}" for name, share in shares if share]) or "nothing"


def _values(values: Array, names: Sequence[str], task_type: str) -> str:
    if task_type == MULTILABEL:
        return (
            _listed(
                [f"{name} ({value:.2f})" for name, value in zip(names, values, strict=True) if value > 0.5]
            )
            or "no label"
        )
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return _listed([f"{value:.4g}" for value in values])


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", …" if len(words) > SHOWN else "")
