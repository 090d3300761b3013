"""The data module: the same batches from a store as from files, by any workers, after any resume."""

import multiprocessing
import os
import signal
import time
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.data.errors import DamagedStoreError, LoaderError, UnequalSizesError
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED, Preprocessing
from mml_core.tasks.description import TaskDescription, TaskType
from mml_core.tasks.index import TaskIndex

LIGHT = {"name": "light", "rotate": 20.0, "translate": 0.1, "scale": 0.1, "brightness": 0.2, "contrast": 0.2}
SIZE32 = {"id": "size32", "height": 32, "width": 32}


def module(task: TaskDescription, *, fold: int | None = 0, seed: int = 7, **groups: Any) -> MMLDataModule:
    cfg = {"preprocessing": SIZE32, "loader": {"batch_size": 4}, **groups}
    return create_datamodule(cfg, task, data_root=task.data, fold=fold, seed=seed)


def batches(data: MMLDataModule, loader: Any) -> list[dict[str, torch.Tensor]]:
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def equal(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> bool:
    return len(one) == len(other) and all(
        first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
        for first, second in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("ignore_index", [None, 255])
@pytest.mark.parametrize(
    ("preprocessing", "augmentations"),
    [
        ({**SIZE32, "fit": "pad"}, {}),
        (SIZE32, {"translate": 0.5, "rotate": 90.0}),
        (SIZE32, {"kornia": [{"name": "RandomAffine", "degrees": 90.0, "p": 1.0}]}),
    ],
    ids=["padding", "translation", "kornia"],
)
def test_what_lies_outside_of_an_image_is_ignored_where_its_task_ignores_pixels(
    make_task, preprocessing, augmentations, ignore_index
) -> None:
    task = make_task(task_type=TaskType.SEGMENTATION, size=(14, 10), ignore_index=ignore_index)
    data = module(task, preprocessing=preprocessing, augmentations=augmentations)
    (mean,), (std,) = data.statistics
    for batch in batches(data, data.train_dataloader()):
        assert set(batch["target"].unique().tolist()) == {0, 1, 2} | ({255} if ignore_index else set())
        if ignore_index:
            outside = batch["image"][:, 0][batch["target"] == ignore_index]
            assert ((outside + mean / std).abs() < 1e-4).float().mean() > 0.6  # the rest blends with its edge


@pytest.mark.parametrize("task_type", list(TaskType))
@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("preprocessing", [SIZE32, {**SIZE32, "channels": "grey", "fit": "pad"}])
def test_a_store_gives_the_numbers_of_decoding_on_the_fly(
    make_task, task_type, bit_depth, preprocessing
) -> None:
    task = make_task(task_type=task_type, bit_depth=bit_depth, channels=3, unequal=True)
    groups = {"preprocessing": preprocessing, "augmentations": LIGHT}
    on_the_fly = module(task, **groups)
    expected = [
        batches(on_the_fly, on_the_fly.train_dataloader()),
        batches(on_the_fly, on_the_fly.test_dataloader()),
    ]
    prepare_task(task, Preprocessing(**preprocessing))
    stored = module(task, **groups)
    assert stored.from_store and not on_the_fly.from_store
    assert equal(batches(stored, stored.train_dataloader()), expected[0])
    assert equal(batches(stored, stored.test_dataloader()), expected[1])
    assert stored.statistics == on_the_fly.statistics


def test_the_preprocessed_description_gives_the_same_batches(make_task) -> None:
    task = make_task()
    prepare_task(task, SHIPPED["size32"])
    preprocessed = TaskIndex(task.data).get("toy", preprocessing="size32")
    raw, stored = module(task), module(preprocessed)
    assert equal(batches(raw, raw.train_dataloader()), batches(stored, stored.train_dataloader()))


@pytest.mark.parametrize(
    ("task_type", "shape", "dtype"),
    [
        (TaskType.CLASSIFICATION, (4,), torch.int64),
        (TaskType.MULTILABEL, (4, 3), torch.float32),
        (TaskType.REGRESSION, (4, 2), torch.float32),
        (TaskType.SEGMENTATION, (4, 32, 32), torch.int64),
    ],
)
def test_targets_by_task_type(make_task, task_type, shape, dtype) -> None:
    data = module(make_task(task_type=task_type))
    batch = batches(data, data.test_dataloader())[0]
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 1, 32, 32), torch.float32)
    assert (tuple(batch["target"].shape), batch["target"].dtype) == (shape, dtype)
    assert batch["index"].tolist() == [4, 9, 14, 19]


def test_labels_are_those_of_the_table(make_task) -> None:
    task = make_task()
    data = module(task)
    for batch in data.train_dataloader():
        assert batch["target"].tolist() == [row % 3 for row in batch["index"].tolist()]


def test_train_validation_and_test_are_disjoint_and_complete(make_task) -> None:
    data = module(make_task(), loader={"batch_size": 3, "drop_last": False})
    parts = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    rows = [[row for batch in part for row in batch["index"].tolist()] for part in parts]
    assert sorted(chain.from_iterable(rows)) == list(range(20))
    assert rows[1] == sorted(rows[1]) and rows[2] == sorted(rows[2])


def test_all_but_training_has_batches_of_loader_eval_batch_size(make_task) -> None:
    data = module(make_task(), loader={"batch_size": 2, "eval_batch_size": 3})
    sizes = [
        max(len(batch["index"]) for batch in loader)
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ]
    assert sizes == [2, 3, 3]


def test_without_a_fold_all_of_the_training_split_is_trained_on(make_task) -> None:
    data = module(make_task(), fold=None)
    assert len(data.train_dataloader().dataset) == 16
    assert data.val_dataloader() == []


def test_a_fold_that_is_not_there_is_refused(make_task) -> None:
    with pytest.raises(LoaderError, match="folds 0 to 1, not 2"):
        module(make_task(), fold=2)


def test_batches_are_normalised_by_the_training_split(make_task) -> None:
    task = make_task(channels=3)
    prepare_task(task, SHIPPED["size32"])
    data = module(task, fold=None, loader={"batch_size": 16})
    image = batches(data, data.train_dataloader())[0]["image"]
    assert image.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-4)
    assert image.std(dim=(0, 2, 3)).tolist() == pytest.approx([1] * 3, abs=1e-3)


@pytest.mark.parametrize(("stored", "start"), [(True, "fork"), (False, "fork"), (True, "spawn")])
def test_workers_change_nothing(make_task, stored, start) -> None:
    task = make_task(task_type=TaskType.SEGMENTATION, samples=40)
    if stored:
        prepare_task(task, SHIPPED["size32"])
    alone = module(task, augmentations=LIGHT)
    loader = {"batch_size": 4, "num_workers": 2, "multiprocessing_context": start, "persistent_workers": True}
    together = module(task, augmentations=LIGHT, loader=loader)
    one, two = alone.train_dataloader(), together.train_dataloader()
    for _ in range(2):
        assert equal(batches(alone, one), batches(together, two))


def test_what_happens_to_a_sample_does_not_depend_on_its_batch(make_task) -> None:
    task = make_task(task_type=TaskType.SEGMENTATION, samples=40)
    images, masks = {}, {}
    for batch_size in (3, 8):
        data = module(task, augmentations=LIGHT, loader={"batch_size": batch_size, "drop_last": False})
        shown = batches(data, data.train_dataloader())
        images[batch_size] = torch.cat([batch["image"] for batch in shown])
        masks[batch_size] = torch.cat([batch["target"] for batch in shown])
    assert torch.equal(images[3], images[8])
    assert torch.equal(masks[3], masks[8])


def test_every_epoch_has_an_order_and_augmentation_of_its_own(make_task) -> None:
    task = make_task()
    data = module(task, augmentations=LIGHT)
    loader = data.train_dataloader()
    first, second = batches(data, loader), batches(data, loader)
    assert not equal(first, second)
    loader.sampler.set_epoch(0)
    assert equal(batches(data, loader), first)
    other = module(task, augmentations=LIGHT, seed=8)
    assert not equal(batches(other, other.train_dataloader()), first)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [0, 2, 4, 7])
def test_a_loader_goes_on_where_it_was(make_task, workers, stop) -> None:
    data = module(
        make_task(samples=40), augmentations=LIGHT, loader={"batch_size": 4, "num_workers": workers}
    )
    loader = data.train_dataloader()
    assert len(loader) == 4
    whole = [*batches(data, loader), *batches(data, loader)]
    loader = data.train_dataloader()
    seen, state = 0, loader.state_dict()
    for _ in range(2):
        for _batch in loader:
            if seen == stop:
                break
            seen += 1
            state = loader.state_dict()
        else:
            continue
        break
    resumed = data.train_dataloader()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = batches(data, resumed)
    while len(rest) < 8 - stop:
        rest += batches(data, resumed)
    assert equal(rest, whole[stop:])


def test_no_global_random_number_is_drawn(make_task) -> None:
    data = module(make_task(), augmentations=LIGHT)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    batches(data, data.train_dataloader())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


def test_balanced_sampling_is_by_class(make_task) -> None:
    data = module(make_task(), sampling={"name": "balanced", "num_samples": 300})
    classes = [label for batch in data.train_dataloader() for label in batch["target"].tolist()]
    assert np.bincount(classes) == pytest.approx([100] * 3, rel=0.3)


def test_unequal_sizes_without_a_size_are_refused_before_data_is_touched(make_task) -> None:
    task = make_task(unequal=True)
    data = module(task, preprocessing={"id": "none"})
    for ask in (lambda: data.setup("fit"), data.check_training):
        with pytest.raises(UnequalSizesError, match=r"12x10 to 14x10.* choose a preprocessing with a size"):
            ask()
    single = module(task, preprocessing={"id": "none"}, loader={"batch_size": 1})
    single.setup("fit")
    shapes = {batch["image"].shape for batch in single.test_dataloader()}
    assert len(shapes) == 3
    prepare_task(task, SHIPPED["none"])
    stored = module(task, preprocessing={"id": "none"}, loader={"batch_size": 1})
    assert stored.from_store
    assert equal(batches(single, single.test_dataloader()), batches(stored, stored.test_dataloader()))


def test_tags_read_from_the_store_of_their_task(make_task) -> None:
    task = make_task()
    index = TaskIndex(task.data)
    description = index.get("toy+duplicate?2")
    on_the_fly = module(description)
    expected = batches(on_the_fly, on_the_fly.train_dataloader())
    prepare_task(task, SHIPPED["size32"])
    stored = module(description)
    assert stored.from_store
    assert len(expected) == 4
    assert equal(batches(stored, stored.train_dataloader()), expected)


def test_a_damaged_store_is_named_and_not_used(make_task) -> None:
    task = make_task()
    prepare_task(task, SHIPPED["size32"])
    (task.data / "preprocessed" / "size32" / "toy" / "image.bin").write_bytes(b"")
    with pytest.raises(DamagedStoreError, match=r"size32/toy is damaged: image\.bin has 0 bytes"):
        module(task).setup("fit")


def test_g19_statistics_on_the_fly_are_kept_in_a_cache_that_can_be_lost(make_task) -> None:
    task = make_task()
    first = module(task).statistics
    cached = next((task.data / "cache" / "statistics").iterdir())
    assert module(task).statistics == first
    whole = cached.read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        cached.write_bytes(flipped)
        assert module(task).statistics == first
    cached.write_text("{")
    assert module(task).statistics == first
    cached.unlink()
    assert module(task).statistics == first


def test_what_a_model_was_trained_with_normalises(make_task) -> None:
    task = make_task(channels=3)
    given = ([0.1, 0.2, 0.3], [0.5, 1.0, 2.0])
    cfg = {"preprocessing": SIZE32, "loader": {"batch_size": 4}}
    data = create_datamodule(cfg, task, data_root=task.data, fold=0, seed=7, normalisation=given)
    assert data.statistics == given
    raw = next(iter(data.test_dataloader()))["image"][:, 2] / 255
    assert torch.allclose(batches(data, data.test_dataloader())[0]["image"][:, 2], (raw - 0.3) / 2)


def test_overfitting_shows_the_same_batches_in_every_epoch(make_task) -> None:
    sampling = {"name": "balanced", "num_samples": 100}
    data = module(make_task(), sampling=sampling, trainer={"overfit_batches": 2})
    loader = data.train_dataloader()
    first, second = batches(data, loader), batches(data, loader)
    assert equal(first, second)
    assert first[0]["index"].tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"sampling": {"num_samples": 99}}, "num_samples is 99, there are 8"),
        ({"loader": {"batch_size": 16, "drop_last": True}}, "8 training samples outside of fold 0, too few"),
    ],
)
def test_training_that_has_no_batches_is_refused(make_task, groups, message) -> None:
    with pytest.raises(LoaderError, match=message):
        module(make_task(), **groups).check_training()


@pytest.mark.parametrize(
    ("group", "config", "named"),
    [
        ("loader", {"batchsize": 3}, "batch_size"),
        ("loader", {"batch_size": 0}, "batch_size"),
        ("loader", {"shuffle": True}, "shuffle"),
        ("loader", {"drop_last": "sometimes"}, "single"),
        ("augmentations", {"rotat": 3}, "rotate"),
        ("augmentations", {"flip_horizontal": 2}, "flip_horizontal"),
        ("augmentations", {"scale": 1}, "scale"),
    ],
)
def test_impossible_options_are_named(make_task, group, config, named) -> None:
    with pytest.raises(LoaderError, match=named):
        module(make_task(), **{group: config})


def test_any_argument_of_a_dataloader_can_be_given(make_task) -> None:
    data = module(
        make_task(), loader={"batch_size": 4, "num_workers": 1, "timeout": 30, "prefetch_factor": 3}
    )
    assert len(list(data.train_dataloader())) == len(data.train_dataloader())


def test_a_last_batch_of_one_is_dropped_in_training_only(make_task) -> None:
    data = module(make_task(samples=21), fold=None, loader={"batch_size": 4})
    assert [len(batch["index"]) for batch in data.train_dataloader()] == [4, 4, 4, 4]
    assert sum(len(batch["index"]) for batch in data.test_dataloader()) == 4


def test_making_a_data_module_takes_less_than_100_ms(make_task) -> None:
    task = make_task()
    prepare_task(task, SHIPPED["size32"])
    module(task)
    started = time.perf_counter()
    data = module(task)
    data.setup("fit")
    data.train_dataloader()
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_leaves_those_that_load_to_their_parent(make_task, signum) -> None:
    data = module(make_task(), loader={"batch_size": 1, "num_workers": 1, "prefetch_factor": 1})
    loading = iter(data.train_dataloader())
    first = next(loading)
    for process in multiprocessing.active_children():
        os.kill(process.pid, signum)
    assert len([first, *loading]) == 8
    assert multiprocessing.active_children() == []
