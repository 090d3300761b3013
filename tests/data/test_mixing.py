"""mixup and CutMix: shares of images and targets, as seed, epoch and place decide."""

import numpy as np
import pytest
import torch

from mml_core.data.datamodule import create_datamodule
from mml_core.data.errors import LoaderError
from mml_core.data.mixing import Mixing
from mml_core.data.sampling import BatchIndex
from mml_core.tasks.description import TaskType


def where(*positions: int) -> BatchIndex:
    places = np.array(positions)
    return BatchIndex(places, 3, places)


def mixed(mixing: Mixing, count: int = 400) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images whose pixels are the number of the sample, which is its class too; and what was drawn."""
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 1, 20, 30)
    drawn = torch.from_numpy(mixing.draw(5, where(*range(count))))
    return *mixing(images, torch.arange(count), drawn, count), drawn


def test_mixup_blends_images_and_targets_alike() -> None:
    images, targets, drawn = mixed(Mixing(mixup=0.4))
    share = targets.diagonal()
    assert torch.allclose(targets.sum(1), torch.ones(400))
    assert torch.allclose(share, drawn[:, 0])
    numbers = torch.arange(400.0)
    expected = share * numbers + (1 - share) * numbers.roll(1)
    assert torch.allclose(images[:, 0], expected[:, None, None].expand(-1, 20, 30), rtol=1e-4)


def test_the_share_is_of_the_beta_distribution() -> None:
    scipy = pytest.importorskip("scipy.stats")
    _, _, drawn = mixed(Mixing(mixup=0.4), 4000)
    assert scipy.kstest(drawn[:, 0].numpy(), scipy.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_cutmix_replaces_a_rectangle_and_counts_its_pixels() -> None:
    images, targets, _ = mixed(Mixing(cutmix=1.0))
    own = images[:, 0] == torch.arange(400.0)[:, None, None]
    assert torch.allclose(targets.diagonal(), own.float().mean((1, 2)), atol=1e-6)
    for kept in ~own[:20]:
        rows, columns = kept.any(1), kept.any(0)
        assert torch.equal(kept, rows[:, None] & columns[None])


def test_with_both_half_of_the_samples_get_either() -> None:
    _, _, drawn = mixed(Mixing(mixup=1.0, cutmix=1.0, probability=0.5))
    mixup, cutmix = (float((drawn[:, column] < 1).float().mean()) for column in (0, 1))
    assert (mixup, cutmix) == (pytest.approx(0.25, abs=0.07), pytest.approx(0.25, abs=0.07))
    assert not ((drawn[:, 0] < 1) & (drawn[:, 1] < 1)).any()


def test_what_is_drawn_depends_on_seed_epoch_and_place_alone() -> None:
    mixing = Mixing(mixup=0.2, cutmix=1.0)
    assert (mixing.draw(5, where(7, 2, 9))[1] == mixing.draw(5, where(2))[0]).all()
    assert (mixing.draw(5, where(2)) != mixing.draw(6, where(2))).any()


@pytest.mark.parametrize("task_type", [TaskType.CLASSIFICATION, TaskType.MULTILABEL])
def test_training_batches_have_soft_targets_and_others_do_not(make_task, task_type) -> None:
    cfg = {
        "preprocessing": {"id": "size32", "height": 32, "width": 32},
        "loader": {"batch_size": 4},
        "augmentations": {"name": "mixup", "mixup": 0.4, "cutmix": 1.0},
    }
    task = make_task(task_type=task_type, samples=40)
    data = create_datamodule(cfg, task, data_root=task.data, fold=0, seed=7)
    data.check_training()
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["target"].shape == (4, 3) and batch["target"].dtype == torch.float32
    assert batch.keys() == {"image", "target", "index"}
    plain = data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)["target"]
    assert torch.equal(plain, plain.round())


@pytest.mark.parametrize("task_type", [TaskType.REGRESSION, TaskType.SEGMENTATION])
def test_targets_that_are_no_classes_of_images_are_not_mixed(make_task, task_type) -> None:
    cfg = {"preprocessing": {"id": "size32", "height": 32, "width": 32}, "augmentations": {"cutmix": 1.0}}
    task = make_task(task_type=task_type)
    data = create_datamodule(cfg, task, data_root=task.data, fold=0, seed=7)
    with pytest.raises(LoaderError, match=r"augmentations\.cutmix=0"):
        data.check_training()


@pytest.mark.parametrize("key", ["mixup", "cutmix", "mix_probability"])
def test_impossible_shares_are_named(make_task, key) -> None:
    task = make_task()
    cfg = {"preprocessing": {"id": "none"}, "augmentations": {key: -1}}
    with pytest.raises(LoaderError, match=rf"augmentations\.{key} is -1"):
        create_datamodule(cfg, task, data_root=task.data, fold=0, seed=7)
