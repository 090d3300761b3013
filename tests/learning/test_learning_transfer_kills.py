"""A transfer that is killed anywhere goes on at that step, from the source that was chosen."""

from typing import Any

import pytest

from mml_core.testing.crash import CrashKit
from mml_core.testing.fixtures import MMLProject

TRANSFER = [
    "mode.pretrain_task=other",
    "mode.pretrain_folds=2",
    "mode.folds=1",
    "mode.freeze=partial",
    "arch=resnet_tiny",
    "arch.kwargs.block_inplanes=[2,2,2,4]",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "preprocessing=none",
    "loader.batch_size=8",
]
WITHIN = ["callbacks.checkpoint.every_n_batches=1", "callbacks.ema.decay=0.5", "optimizer.layer_decay=0.5"]


@pytest.fixture(autouse=True)
def tasks(mml_project: MMLProject, install_task: Any) -> None:
    install_task(mml_project.data, "tiny")
    install_task(mml_project.data, "other", seed=1)


@pytest.mark.parametrize("sample", [2, pytest.param(40, marks=pytest.mark.long)])
def test_g01_g02_g03_g08_a_transfer_is_killed_and_continued(crash_kit: CrashKit, sample: int) -> None:
    crash_kit("transfer", *TRANSFER, tasks=["tiny"], sample=sample)


@pytest.mark.long
def test_g02_a_transfer_is_killed_within_its_trainings(crash_kit: CrashKit) -> None:
    methods = ["pretrain_fold", "train_fold"]
    crash_kit("transfer", *TRANSFER, *WITHIN, tasks=["tiny"], methods=methods, sample=6)


@pytest.mark.long
def test_g01_g02_a_transfer_in_processes_is_killed_and_continued(crash_kit: CrashKit) -> None:
    crash_kit("transfer", *TRANSFER, tasks=["tiny"], sample=10, executor="processes")


@pytest.mark.long
def test_g02_a_transfer_is_taken_over_where_it_would_be_the_same(crash_kit: CrashKit) -> None:
    changes = ["mode.freeze=none", "mode.select=random", "optimizer.layer_decay=0.5"]
    crash_kit.reuse("transfer", *TRANSFER, tasks=["tiny"], changes=changes)
