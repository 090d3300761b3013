"""Trainings that choose, hold two folds out, or learn several tasks resume exactly wherever killed."""

from __future__ import annotations

import pytest

from mml_core.tasks.description import TaskType

pytest_plugins = ["mml_core.testing.crash"]

TINY = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "preprocessing=none", "loader.batch_size=8"]
NESTED = ["mode.nested=true", "mode.folds=1", "mode.weights=best", "callbacks.early_stopping.patience=1"]
JOINT = ["mode.folds=1", "mode.co_tasks.tasks=[b]", "mode.joint=proportional", "mode.write_blueprint=true"]
EVERY_BATCH = "callbacks.checkpoint.every_n_batches=1"


@pytest.fixture(autouse=True)
def tasks(install):
    """A task, and two to learn beside it or to be evaluated on."""
    install("a", unlabelled=2)
    install("b", TaskType.REGRESSION, seed=1)
    install("c", seed=2)


def test_g01_g02_a_joint_training_is_killed_and_continued(crash_kit):
    methods = ["train_fold", "predict_other"]
    options = [*TINY, *JOINT, "trainer.max_epochs=1", "augmentations=light"]
    crash_kit("train", *options, EVERY_BATCH, tasks=["a"], sample=2, methods=methods)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(NESTED, id="nested"),
        pytest.param(JOINT, id="joint"),
        pytest.param([*NESTED, "mode.eval_on=[c]"], id="other"),
    ],
)
def test_g01_g02_g03_trainings_are_killed_and_continued(crash_kit, options):
    crash_kit("train", *TINY, *options, EVERY_BATCH, tasks=["a"], sample=20)


@pytest.mark.long
def test_steps_of_trainings_are_taken_over_where_nothing_they_used_differs(crash_kit):
    crash_kit.reuse("train", *TINY, *NESTED, "mode.eval_on=[c]", tasks=["a"], changes=["optimizer.lr=0.5"])
