"""The rows of a file of predictions, by the names of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mml_core.learning.answers import answers, value_names
from mml_core.learning.metrics import NO_LABEL
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, SEGMENTATION
from mml_core.learning.predictions import Predictions, load_predictions


def sample_rows(path: Path, classes: Sequence[str], split: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for each sample of a file of predictions.

    Args:
        path: The file.
        classes: Names of classes, labels or values; empty: their numbers.
        split: Of this split only.

    Raises:
        PredictionsError: The file holds no predictions.
    """
    for part in load_predictions(path):
        if split in (None, part.split):
            width = part.output.width
            names = list(classes) if len(classes) == width else [str(index) for index in range(width)]
            yield from _rows(part, names)


def _rows(part: Predictions, classes: list[str]) -> Iterator[dict[str, Any]]:
    task_type = part.output.task_type
    subjects = part.subject_ids or [None] * len(part.sample_ids)
    targets = part.targets if part.targets is not None else [None] * len(part.sample_ids)
    for answer, output, target, subject in zip(
        answers(part, classes), part.outputs, targets, subjects, strict=True
    ):
        said = {CLASSIFICATION: "class", MULTILABEL: "labels"}.get(task_type, "values")
        yield {
            "task": part.output.task,
            "fold": part.fold,
            "split": part.split,
            "sample_id": answer["image"],
            "subject_id": subject,
            "target": None if target is None else _target(task_type, np.asarray(target), classes),
            "prediction": np.asarray(output) if task_type == SEGMENTATION else answer[said],
            "probabilities": answer.get("probabilities"),
        }


def _target(task_type: str, target: Any, classes: list[str]) -> Any:
    if task_type == SEGMENTATION:
        return target
    if task_type == CLASSIFICATION:
        return None if int(target) == NO_LABEL else classes[int(target)]
    if np.isnan(target).all():
        return None
    if task_type == MULTILABEL:
        return [name for name, share in zip(classes, target.tolist(), strict=True) if share > 0.5]
    return dict(zip(value_names(classes), target.reshape(-1).tolist(), strict=True))
