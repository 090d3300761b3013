"""Balanced weights of classes are counted on what is trained on: what is held out has no part in them."""

from __future__ import annotations

import numpy as np
import pytest

from mml_core.data.class_weights import balanced_class_weights
from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.data.errors import LoaderError
from mml_core.tasks.description import TaskDescription, TaskType
from mml_core.tasks.images import read_mask

LABELS = [0, 0, 0, 1, 1, 2] + [2] * 4 + [0] * 5 + [1] * 5
FOLDS = [0] * 6 + [1] * 4 + [2] * 5 + [-1] * 5
"""Trained on with fold 1 validating: 0 eight times, 1 twice, 2 once; nested besides without fold 2."""


def module(task: TaskDescription, fold: int, outer: int | None = None) -> MMLDataModule:
    cfg = {"preprocessing": {"id": "none"}, "loader": {"batch_size": 4}}
    return create_datamodule(cfg, task, data_root=task.data, fold=fold, outer=outer, seed=1)


def with_folds(task: TaskDescription, **columns: object) -> TaskDescription:
    splits = ["test" if fold < 0 else "train" for fold in FOLDS]
    table = task.samples.with_columns({"fold": FOLDS, "split": splits, **columns})
    return task.with_samples(table, num_folds=3)


def test_weights_of_classes_are_those_of_scikit_learn(make_task) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    task = with_folds(make_task(), label=LABELS)
    for outer, trained in ((None, [0] * 8 + [1] * 2 + [2]), (2, [0] * 3 + [1] * 2 + [2])):
        expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(trained))
        assert balanced_class_weights(module(task, 1, outer)) == pytest.approx(list(expected))


def test_weights_of_labels_are_how_much_more_often_they_are_absent(make_task) -> None:
    labels = np.zeros((20, 3))
    labels[[0, 10, 11], 0] = 1
    labels[:5, 1] = 1
    labels[:2, 2] = 0.5
    task = with_folds(make_task(task_type=TaskType.MULTILABEL), labels=labels)
    assert balanced_class_weights(module(task, 1)) == pytest.approx([8 / 3, 6 / 5, 10 / 1])


def test_weights_of_pixels_leave_out_held_out_masks_and_pixels_to_ignore(make_task) -> None:
    task = with_folds(make_task(task_type=TaskType.SEGMENTATION))
    root = task.data / "datasets" / "toy"
    masks = {row: read_mask(root / f"{row}.mask.png") for row in range(20)}
    counts = sum(np.bincount(masks[row].ravel(), minlength=3) for row in range(20) if FOLDS[row] in (0, 2))
    found = balanced_class_weights(module(task, 1))
    assert found == pytest.approx(list(counts.sum() / (3 * counts)))


def test_a_class_that_is_not_trained_on_is_named(make_task) -> None:
    task = with_folds(make_task(), label=[0, 0, 0, 1, 1, 1] + [2] * 4 + [0] * 10)
    with pytest.raises(LoaderError, match="no training samples of class 2 outside of fold 1"):
        balanced_class_weights(module(task, 1))


def test_values_have_no_classes(make_task) -> None:
    with pytest.raises(LoaderError, match="no classes to weight"):
        balanced_class_weights(module(with_folds(make_task(task_type=TaskType.REGRESSION)), 1))
