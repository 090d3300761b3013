"""The outer fold of nested validation: held out from training, from validation and from the normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.data.errors import LoaderError
from mml_core.tasks.description import TaskDescription


def module(task: TaskDescription, fold: int | None, outer: int | None) -> MMLDataModule:
    cfg = {"preprocessing": {"id": "none"}, "loader": {"batch_size": 4}}
    return create_datamodule(cfg, task, data_root=task.data, fold=fold, outer=outer, seed=1)


@pytest.fixture
def task(make_task) -> TaskDescription:
    """A task of four folds."""
    made = make_task(samples=20)
    folds = [-1 if row % 5 == 4 else row % 4 for row in range(20)]
    return made.with_samples(made.samples.with_columns({"fold": folds}), num_folds=4)


def test_the_parts_share_no_sample_and_are_the_whole(task) -> None:
    data = module(task, fold=1, outer=0)
    parts = {part: set(data.rows(part).tolist()) for part in ("train", "val", "outer", "test")}
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 20
    folds = task.samples.numpy("fold")
    assert {int(folds[row]) for row in parts["outer"]} == {0}
    assert {int(folds[row]) for row in parts["val"]} == {1}
    assert {int(folds[row]) for row in parts["train"]} == {2, 3}


def test_without_an_outer_fold_that_part_is_empty(task) -> None:
    data = module(task, fold=1, outer=None)
    assert not len(data.dataset("outer"))
    assert set(task.samples.numpy("fold")[data.rows("train")]) == {0, 2, 3}


def test_no_image_of_the_outer_fold_is_opened_for_training(task) -> None:
    for row in module(task, fold=1, outer=0).rows("outer"):
        (task.dataset_root / f"{row}.png").unlink()
    data = module(task, fold=1, outer=0)
    seen = [batch["index"] for loader in (data.train_dataloader(), data.val_dataloader()) for batch in loader]
    assert set(torch.cat(seen).tolist()) == {*data.rows("train").tolist(), *data.rows("val").tolist()}
    images = np.stack([data._source.images(data.rows("train"))]) / 255
    means, stds = data.statistics
    assert (means, stds) == (pytest.approx([images.mean()]), pytest.approx([images.std()]))


@pytest.mark.parametrize(("fold", "outer", "message"), [(1, 1, "cannot both"), (1, 4, "folds 0 to 3, not 4")])
def test_what_cannot_be_held_out_is_refused(task, fold, outer, message) -> None:
    with pytest.raises(LoaderError, match=message):
        module(task, fold=fold, outer=outer)
