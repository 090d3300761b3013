"""What cannot be trained is refused in one line before there is a run, and what is meant is named."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from mml_core.testing.fixtures import CommandRunner, MMLProject

pytest_plugins = ["mml_core.testing.fixtures"]

TRAIN = ["run", "--mode=train", "--tasks=tiny", "trainer.accelerator=cpu", "preprocessing=none"]
TUNED = "tune.lr=true"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode.folds=[7]"], "has no fold 7"),
        (["mode.subroutines=[predict,test]"], "no model of fold 0"),
        (["mode.subroutines=[test]"], "has no predictions to test"),
        (["arch.name=ResNett"], "Did you mean 'ResNet"),
        (["arch=resnet_tiny", "+arch.kwargs.blok=1"], "cannot be built with .*blok"),
        (["optimizer.name=adamv"], "Did you mean 'adam'"),
        (["+optimizer.wieght_decay=0"], "Did you mean 'weight_decay'"),
        (["optimizer.lr=-1"], "optimizer: Invalid learning rate"),
        (["lr_scheduler.name=onecicle"], "Did you mean 'onecycle'"),
        (["lr_scheduler=cosine", "lr_scheduler.warmup=2"], "a share of the fit"),
        (["trainer.max_epochs=-1"], "set trainer.max_epochs or trainer.max_steps"),
        (["loss.classification.name=cros_entropy"], "Did you mean 'cross_entropy'"),
        (["metrics.classification=[acuracy]"], "Did you mean 'accuracy'"),
        (["sampling.name=balancd"], "Did you mean 'balanced'"),
        (["sampling.num_samples=99"], "num_samples is 99, there are 16"),
        (["loader.batch_size=0"], "loader.batch_size is 0"),
        (["loader.drop_last=true"], "too few for a batch"),
        (["augmentations.flip_horizontal=3"], "a number from 0 to 1"),
        (["callbacks.progress=fancy"], "Choose one of"),
        (["callbacks.disabled_plugins=[monia]"], "Did you mean 'monai'"),
        (["logging.loggers=[cvs]"], "Did you mean 'csv'"),
        (["trainer.precision=7-bit"], "trainer: "),
        (["trainer.devices=2"], "set trainer.devices=1"),
        (["+trainer.max_epoch=1"], "Did you mean 'max_epochs'"),
        ([TUNED, "tune.min_lr=2"], "min_lr < max_lr"),
        ([TUNED, "tune.steps=many"], "tune.steps is 'many'"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "refused",
)
def test_misuse_leaves_nothing_behind(
    overrides: Sequence[str], message: str, mml: CommandRunner, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "tiny")
    result = mml(*TRAIN, *overrides)
    assert result.code == 2, result.err
    (line,) = result.err.splitlines()
    assert re.search(message, line), line
    assert not mml_project.runs()
    assert not [path for path in mml_project.results.rglob("*") if path.is_file()]


def test_a_task_without_folds_is_named(
    mml: CommandRunner, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "tiny", num_folds=0)
    for overrides in ([], [TUNED]):
        result = mml(*TRAIN, *overrides)
        assert result.code == 2
        assert result.err.startswith("mml: Task 'tiny' has no folds")


def test_a_plan_that_is_only_shown_waits_for_no_torch(
    mml_process: Any, mml_project: MMLProject, install_task: Any
) -> None:
    install_task(mml_project.data, "tiny")
    shown = mml_process(*TRAIN, "--plan", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert shown.code == 0
    assert "train_fold('tiny', 0)" in shown.out
    assert " torch\n" not in shown.err
