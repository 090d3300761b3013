"""Tags that change which classes a task has, or which label its samples bear."""

from __future__ import annotations

import numpy as np

from mml_core.api import TaskDescription, TaskType
from mml_tags.arguments import TagError, class_indices, require_type, share
from mml_tags.checks import require_classes, require_folds
from mml_tags.order import random_numbers

UNLABELLED = -1


def apply_subclass(task: TaskDescription, *names: str, seed: int) -> TaskDescription:
    """Keep some of the classes, in the order given.

    Of a classification, the samples of the other classes are left out of every split, the test split
    included; those without a label stay. Of a multilabel task all samples stay, with these labels alone.

    Args:
        task: A classification or a multilabel task.
        *names: Classes, by name or by index; at least two for a classification.
        seed: Not used.

    Raises:
        TagError: A class is unknown, too few are named, or a fold would be left empty.
    """
    require_type(task, "subclass", TaskType.CLASSIFICATION, TaskType.MULTILABEL)
    chosen = class_indices(task, names, "subclass")
    least = 2 if task.task_type is TaskType.CLASSIFICATION else 1
    if len(chosen) < least:
        raise TagError(
            f"Tag 'subclass' needs at least {least} classes of '{task.name}', found {len(chosen)}."
        )
    renamed = {str(new): task.class_names[old] for new, old in enumerate(chosen)}
    samples = task.samples
    if task.task_type is TaskType.MULTILABEL:
        labels = samples.numpy("labels")[:, chosen]
        return task.replace(idx_to_class=renamed).with_samples(samples.with_columns({"labels": labels}))
    new_index = np.full(task.num_classes + 1, UNLABELLED, dtype=np.int32)
    new_index[chosen] = np.arange(len(chosen), dtype=np.int32)
    old = samples.numpy("label")
    kept = np.flatnonzero((old == UNLABELLED) | (new_index[old] != UNLABELLED))
    table = samples.take(kept)
    changed = task.replace(idx_to_class=renamed).with_samples(
        table.with_columns({"label": new_index[old[kept]]})
    )
    return require_folds(changed, "?".join(("subclass", *names)))


def apply_confuse(task: TaskDescription, part: str, *names: str, seed: int) -> TaskDescription:
    """Give a share of the training samples a wrong label, as annotators do who err.

    Each is given one of the other classes, all with the same probability. The samples of validation folds are
    training samples too; test samples keep the truth. A smaller share is contained in a larger one.

    Args:
        task: A classification.
        part: Share of the training samples of each of these classes, from 0 to 1.
        *names: The classes that are confused with each other, by name or index; by default all.
        seed: Seed of the run.

    Raises:
        TagError: The share is impossible, a class is unknown, only one is named, or one would be left without
            a training sample.
    """
    require_type(task, "confuse", TaskType.CLASSIFICATION)
    wanted = share(part, "confuse")
    chosen = np.array(class_indices(task, names, "confuse") or range(task.num_classes), dtype=np.int32)
    if len(chosen) < 2:
        raise TagError("Tag 'confuse' needs at least two classes to confuse, found 1.")
    samples = task.samples
    truth = samples.numpy("label")
    labels = truth.copy()
    rows = samples.indices("train")
    ids = samples.column("sample_id").take(rows).to_pylist()
    order, drawn = random_numbers(ids, seed, "confuse"), random_numbers(ids, seed, "wrong label")
    for position, label in enumerate(chosen):
        mine = np.flatnonzero(truth[rows] == label)
        wrong = mine[np.argsort(order[mine], kind="stable")][: round(wanted * len(mine))]
        others = np.delete(chosen, position)
        labels[rows[wrong]] = others[(drawn[wrong] % len(others)).astype(np.int64)]
    confused = task.with_samples(samples.with_columns({"label": labels}))
    return require_classes(task, confused, "?".join(("confuse", part, *names)))
