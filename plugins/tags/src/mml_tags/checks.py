"""What a tag has to leave of a task."""

from __future__ import annotations

import numpy as np

from mml_core.api import TaskDescription
from mml_tags.arguments import TagError


def require_classes(before: TaskDescription, after: TaskDescription, written: str) -> TaskDescription:
    """Refuse a task that has lost the training samples of a class; pixels of a segmentation do not count."""
    lost = [
        after.idx_to_class[index]
        for index, count in after.class_counts.items()
        if not count and before.class_counts.get(index)
    ]
    if lost:
        raise TagError(f"Tag '{written}' leaves no training sample of {', '.join(lost)} in '{before.name}'.")
    return after


def require_folds(task: TaskDescription, written: str) -> TaskDescription:
    """Refuse a task with a fold that nothing is validated on, or none trained on outside of it."""
    samples = task.samples
    folds = samples.numpy("fold")
    empty = sorted(set(range(task.num_folds)) - set(folds[samples.indices("train")].tolist()))
    if empty:
        numbers = ", ".join(map(str, empty))
        raise TagError(
            f"Tag '{written}' leaves no sample of '{task.name}' in fold {numbers}: keep more, or create the"
            " task with fewer folds."
        )
    if task.num_folds > 1 and len(np.unique(folds[samples.indices("train", part="train")])) < 2:
        raise TagError(
            f"Tag '{written}' leaves training samples of '{task.name}' in one fold only, so that nothing is"
            " trained on where it validates: keep more."
        )
    return task
