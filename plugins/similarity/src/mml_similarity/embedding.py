"""Fisher embeddings of tasks, whatever their targets are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.api import Features, MMLError
from mml_similarity.distances.fisher import fisher_of_probe, fisher_of_values, fit_probe

Array = NDArray[np.float64]


class EmbeddingError(MMLError):
    """A task has no targets that a probe could learn."""


def embeddings_of(tasks: Sequence[Features], *, l2: float) -> list[Array]:
    """Return the Fisher embedding of each task, (D,).

    Features are standardised over all tasks together, each task counting the same, so that one scale holds
    for all.

    Args:
        tasks: Features of one backbone, with targets of whole images.
        l2: Weight decay of the probes; above 0.

    Raises:
        EmbeddingError: A task has no samples with a target.
    """
    centre = np.mean([each.values.mean(axis=0, dtype=np.float64) for each in tasks], axis=0)
    squares = [((each.values - centre) ** 2).mean(axis=0) for each in tasks]
    scale = np.sqrt(np.mean(squares, axis=0))
    scale[scale == 0] = 1
    return [_embedded(each, (each.values - centre) / scale, l2) for each in tasks]


def _embedded(task: Features, rows: Array, l2: float) -> Array:
    targets: NDArray[Any] | None = task.targets
    if targets is None:
        raise EmbeddingError(f"Task '{task.task}' has no targets for a probe; leave out the distance fisher.")
    if task.task_type == "classification":
        known = targets >= 0
        found = [_of_classes(rows[known], targets[known], len(task.classes), l2)] if known.any() else []
    else:
        found = []
        for column in targets.T:
            known = np.isfinite(column)
            if known.any() and task.task_type == "multilabel":
                found.append(_of_classes(rows[known], (column[known] > 0.5).astype(np.int64), 2, l2))
            elif known.any():
                found.append(fisher_of_values(rows[known], column[known].astype(np.float64), l2=l2))
    if not found:
        raise EmbeddingError(
            f"No sample of task '{task.task}' has a target; set mode.split=train, or leave out the"
            " distance fisher."
        )
    embedding: Array = np.mean(found, axis=0)
    return embedding


def _of_classes(rows: Array, labels: NDArray[np.int64], classes: int, l2: float) -> Array:
    return fisher_of_probe(rows, fit_probe(rows, labels, classes, l2=l2))
