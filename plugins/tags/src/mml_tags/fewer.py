"""Tags that keep a part of the training split. Test and unlabelled samples stay as they are."""

from __future__ import annotations

import numpy as np

from mml_core.api import TaskDescription, TaskType
from mml_tags.arguments import TagError, amount, require_type, weight, whole
from mml_tags.checks import require_classes, require_folds
from mml_tags.order import KeepingOrder, Rows

CLASSES = (TaskType.CLASSIFICATION,)


def apply_subset(task: TaskDescription, amount_of_samples: str, *, seed: int) -> TaskDescription:
    """Keep a part of the training split: every fold and every class shrinks, whole subjects stay or go.

    A smaller part is contained in a larger one.

    Args:
        task: The task.
        amount_of_samples: A share with a decimal point, or a number of samples.
        seed: Seed of the run.

    Raises:
        TagError: The amount is impossible, or a fold would be left empty.
    """
    order = KeepingOrder(task, task.samples.indices("train"), seed)
    kept = order.first(amount(amount_of_samples, "subset", len(order.rows)))
    return _keep(task, kept, f"subset?{amount_of_samples}")


def apply_shrink_train(task: TaskDescription, amount_of_samples: str, *, seed: int) -> TaskDescription:
    """Train on a part of the training split, and validate on whole folds.

    The part is that of `apply_subset`, of the same seed.

    Args:
        task: The task.
        amount_of_samples: A share with a decimal point, or a number of samples.
        seed: Seed of the run.

    Raises:
        TagError: The amount is impossible, or a fold would train on nothing.
    """
    order = KeepingOrder(task, task.samples.indices("train", part="train"), seed)
    kept = order.first(amount(amount_of_samples, "shrink_train", len(order.rows)))
    trains = np.zeros(len(task.samples), dtype=bool)
    trains[kept] = True
    written = f"shrink_train?{amount_of_samples}"
    return _checked(task, task.with_samples(task.samples.with_columns({"trains": trains})), written)


def apply_shrink_equal(task: TaskDescription, per_class: str, *, seed: int) -> TaskDescription:
    """Keep the same number of training samples of every class, from all folds alike.

    Fewer are contained in more. Single samples are kept, not whole subjects; a subject stays in its fold.

    Args:
        task: A classification.
        per_class: Samples of each class.
        seed: Seed of the run.

    Raises:
        TagError: A class has fewer samples, or a fold would be left empty.
    """
    require_type(task, "shrink_equal", *CLASSES)
    count = whole(per_class, "shrink_equal")
    order = KeepingOrder(task, task.samples.indices("train"), seed)
    available = np.bincount(order.classes[order.classes >= 0], minlength=task.num_classes)
    fewest = int(available.min())
    if not 1 <= count <= fewest:
        rare = task.class_names[int(available.argmin())]
        raise TagError(
            f"Tag 'shrink_equal?{per_class}' cannot be had: class '{rare}' of '{task.name}' has {fewest}"
            f" training samples; choose 1 to {fewest}."
        )
    return _keep(task, order.first_of_classes([count] * task.num_classes), f"shrink_equal?{per_class}")


def apply_redistribute(task: TaskDescription, *weights: str, seed: int) -> TaskDescription:
    """Drop training samples until the classes have the given proportions; as few as possible are dropped.

    Args:
        task: A classification.
        *weights: One number per class, in the order of the classes: ``redistribute?1?3`` keeps three of
            the second class for each of the first.
        seed: Seed of the run.

    Raises:
        TagError: There are not as many weights as classes, or a class or fold would vanish.
    """
    require_type(task, "redistribute", *CLASSES)
    written = "?".join(("redistribute", *weights))
    if len(weights) != task.num_classes:
        raise TagError(
            f"Tag '{written}' has {len(weights)} weights; '{task.name}' has {task.num_classes} classes,"
            f" in this order: {', '.join(task.class_names[:12])}{', …' if task.num_classes > 12 else ''}."
        )
    proportions = np.array([weight(text, "redistribute") for text in weights])
    order = KeepingOrder(task, task.samples.indices("train"), seed)
    available = np.bincount(order.classes[order.classes >= 0], minlength=task.num_classes)
    scale = (available / proportions).min()
    counts = np.floor(scale * proportions + 1e-9).astype(int)
    if not counts.all():
        lost = [task.class_names[index] for index in np.flatnonzero(counts == 0)]
        raise TagError(f"Tag '{written}' would leave no training sample of {', '.join(lost)}.")
    return _keep(task, order.first_of_classes(counts.tolist()), written)


def _keep(task: TaskDescription, kept: Rows, written: str) -> TaskDescription:
    """Drop all training samples but these; rows keep their order."""
    samples = task.samples
    dropped = np.setdiff1d(samples.indices("train"), kept)
    smaller = task.with_samples(samples.take(np.setdiff1d(np.arange(len(samples)), dropped)))
    return _checked(task, smaller, written)


def _checked(task: TaskDescription, smaller: TaskDescription, written: str) -> TaskDescription:
    return require_folds(require_classes(task, smaller, written), written)
