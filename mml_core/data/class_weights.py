"""Weights of classes by how often a task's training samples show them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mml_core.data.datamodule import MMLDataModule
from mml_core.data.errors import LoaderError
from mml_core.tasks.description import TaskType


def balanced_class_weights(module: MMLDataModule) -> list[float]:
    """Return a weight for each class by the samples that are trained on; those held out have no part in it.

    Of classes, per image or pixel: N / (C x N_c), as scikit-learn's ``balanced``. Of labels that an image may
    have several of: that of presence, N_absent / N_present, which may be soft. Pixels to ignore do not count;
    masks are read once for it.

    Raises:
        LoaderError: A class has no training sample, or the task has no classes.
    """
    task, rows = module.description, module.rows("train")
    if task.task_type is TaskType.MULTILABEL:
        labels = task.samples.numpy("labels")[rows].astype(np.float64)
        present, absent = labels.sum(0), (1 - labels).sum(0)
        _require_all(module, np.minimum(present, absent), "with and without")
        return [float(weight) for weight in absent / present]
    counts = _pixels(module) if task.task_type is TaskType.SEGMENTATION else _images(module)
    _require_all(module, counts, "of")
    return [float(weight) for weight in counts.sum() / (len(counts) * counts)]


def _images(module: MMLDataModule) -> NDArray[np.int64]:
    task = module.description
    if task.task_type is not TaskType.CLASSIFICATION:
        raise LoaderError(
            f"Task '{task.name}' is of type {task.task_type.value} and has no classes to weight."
        )
    labels = task.samples.numpy("label")[module.rows("train")]
    return np.bincount(labels, minlength=task.num_outputs)


def _pixels(module: MMLDataModule) -> NDArray[np.int64]:
    dataset, classes = module.dataset("train"), module.description.num_outputs
    counts = np.zeros(256, dtype=np.int64)
    for row in dataset.rows:
        found = np.bincount(dataset.source.masks(np.array([row])).ravel(), minlength=256)
        if len(found) > len(counts):
            counts = np.pad(counts, (0, len(found) - len(counts)))
        counts[: len(found)] += found
    return counts[:classes]  # the number to ignore lies above the classes


def _require_all(module: MMLDataModule, counts: NDArray[np.float64] | NDArray[np.int64], which: str) -> None:
    task = module.description
    missing = [task.idx_to_class.get(str(index), str(index)) for index in np.flatnonzero(counts == 0)]
    if missing:
        raise LoaderError(
            f"loss.{task.task_type.value}.class_weights=balanced: task '{task.name}' has no training samples"
            f" {which} {', '.join(missing)} outside of fold {module.fold}; write a weight"
            " for each class, or create the task with other folds."
        )
