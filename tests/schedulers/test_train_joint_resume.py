"""A joint training that is killed after any batch ends with the bits of an undisturbed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from mml_core.data.datamodule import create_datamodule
from mml_core.data.joint import JointDataModule
from mml_core.learning.best_weights import BestWeights
from mml_core.learning.history import History
from mml_core.learning.module import MMLModule, Recipe
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.resuming import StepFits
from mml_core.learning.selection import Monitor
from mml_core.learning.trainer import create_trainer
from mml_core.tasks.description import TaskType
from mml_core.tasks.index import TaskIndex

pytest_plugins = ["mml_core.testing.fixtures"]

RECIPE = Recipe(
    optimizer={"name": "adam", "lr": 0.01},
    lr_scheduler={"name": "plateau", "interval": "epoch", "patience": 0, "monitor": "val/b/mae"},
    loss={"classification": {"name": "cross_entropy"}, "regression": {"name": "mse"}},
    metrics={"classification": ["accuracy"], "regression": ["mae"]},
    task_weights={"b": 0.3},
)


class Killed(BaseException):
    """A kill within one process."""


class KillAfter(Callback):
    """Kills after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, *args: Any) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


class Backbone(torch.nn.Module):
    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Dropout(0.2)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images).mean((2, 3))


@pytest.mark.parametrize("strategy", ["longest", "proportional"])
def test_g02_a_joint_training_killed_after_every_batch_ends_the_same(
    install, mml_project, tmp_path, strategy
) -> None:
    install("a")
    install("b", TaskType.REGRESSION, samples=50, seed=1)
    index = TaskIndex(mml_project.data)
    tasks = [index.get(name) for name in "ab"]
    cfg = {
        "preprocessing": {"id": "none"},
        "loader": {"batch_size": 8},
        "augmentations": {"name": "light", "rotate": 15.0},
        "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        "callbacks": {
            "progress": "none",
            "checkpoint": {"every_minutes": 0, "every_n_batches": 1},
            "early_stopping": {"patience": 2, "monitor": "val/a/accuracy"},
        },
    }
    attempts: list[Path] = []

    def attempt(name: str, kill: int | None = None) -> Any:
        folder = tmp_path / name / str(len(attempts))
        fits = StepFits(folder / "checkpoints", attempts[::-1])
        attempts.append(folder / "checkpoints")
        torch.manual_seed(3)
        model = MMLModule(Backbone(), [TaskOutput.of(task) for task in tasks], RECIPE)
        modules = {
            task.name: create_datamodule(cfg, task, data_root=task.data, fold=0, seed=5) for task in tasks
        }
        history, best = History(), BestWeights(Monitor(name="val/loss"))
        callbacks = [history, best, *([] if kill is None else [KillAfter(kill)])]
        trainer = create_trainer(cfg, default_root_dir=folder, callbacks=callbacks, fits=fits)
        try:
            trainer.fit(model, datamodule=JointDataModule(modules, strategy=strategy, seed=7))
        except Killed:
            return None
        weights = {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
        return weights, history.epochs, best.value, best.epoch

    expected = attempt("whole")
    attempts.clear()
    kills = 0
    while (found := attempt("killed", kill=1)) is None:
        kills += 1
    assert kills > 5
    assert found == expected
