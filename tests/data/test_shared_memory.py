"""Memory that loading processes share: batches that are not copied again, and stores that are read once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mml_core.data import shared_memory
from mml_core.data.datamodule import MMLDataModule, create_datamodule
from mml_core.data.errors import DamagedStoreError, LoaderError
from mml_core.data.prepare import prepare_task
from mml_core.data.preprocessing import SHIPPED
from mml_core.data.store import Store
from mml_core.tasks.description import TaskDescription, TaskType


def module(task: TaskDescription, **loader: object) -> MMLDataModule:
    cfg = {
        "preprocessing": {"id": "size32", "height": 32, "width": 32},
        "loader": {"batch_size": 4, **loader},
    }
    return create_datamodule(cfg, task, data_root=task.data, fold=0, seed=7)


@pytest.fixture
def task(make_task) -> TaskDescription:
    made = make_task(task_type=TaskType.SEGMENTATION)
    prepare_task(made, SHIPPED["size32"])
    return made


def file_of(task: TaskDescription) -> Path:
    return task.data / "preprocessed" / "size32" / task.name / "image.bin"


def test_a_worker_gathers_right_into_the_memory_that_it_hands_over(task) -> None:
    for batch in module(task, num_workers=1).train_dataloader():
        assert batch["image"].is_shared() and batch["target"].is_shared()
        assert batch["image"].untyped_storage().nbytes() == batch["image"].nbytes


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_a_store_that_is_kept_in_memory(task, start: str) -> None:
    expected = [batch["image"] for batch in module(task).train_dataloader()]
    data = module(task, cache="ram", num_workers=2, multiprocessing_context=start)
    loader = data.train_dataloader()
    file_of(task).write_bytes(b"\0" * file_of(task).stat().st_size)  # nobody looks at it any more
    found = [batch["image"] for batch in loader]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_store_kept_in_memory_is_checked_in_full(task) -> None:
    content = bytearray(file_of(task).read_bytes())
    content[-1] ^= 1
    file_of(task).write_bytes(content)
    with pytest.raises(DamagedStoreError, match=r"image\.bin changed"):
        module(task, cache="ram").setup("fit")


def test_samples_of_unequal_sizes_can_be_kept_in_memory(make_task) -> None:
    task = make_task(unequal=True)
    prepare_task(task, SHIPPED["none"])
    store = Store.open(task.data / "preprocessed" / "none" / "toy")
    before = [store.images.sample(row).copy() for row in range(20)]
    store.load()
    assert all((store.images.sample(row) == before[row]).all() for row in range(20))


def test_more_than_there_is_memory_is_refused(task, monkeypatch) -> None:
    monkeypatch.setattr(shared_memory, "available_memory", lambda: 1000)
    with pytest.raises(LoaderError, match=r"GiB are free: set loader\.cache=null"):
        module(task, cache="ram").setup("fit")


def test_keeping_in_memory_needs_a_store(make_task) -> None:
    with pytest.raises(LoaderError, match="mml run --mode=preprocess"):
        module(make_task(), cache="ram").setup("fit")


def test_rows_outside_of_a_store_are_refused(task) -> None:
    store = Store.open(file_of(task).parent)
    with pytest.raises(IndexError):
        store.images.gather(np.array([20]))
