"""A fit that is killed, after whatever batch, ends in a later attempt with the bits of an undisturbed one."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from mml_core.learning.factory import recipe_of
from mml_core.learning.history import History
from mml_core.learning.module import MMLModule
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.resuming import StepFits, StepTrainer
from mml_core.learning.trainer import create_trainer

BATCHES, EPOCHS = 4, 2


class Killed(BaseException):
    """What a kill is within one process: whatever was written stays, nothing is cleaned up."""


class KillAt(Callback):
    """Kills at the n-th call of a hook."""

    def __init__(self, hook: str, number: int) -> None:
        self.left = number
        setattr(self, hook, self._count)

    def _count(self, *args: Any) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1


class Net(nn.Module):
    """Batch statistics, dropout, and noise out of every generator; a buffer that no weights file holds."""

    feature_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1)
        )
        self.register_buffer("shift", torch.zeros(()), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.shift += 0.01
            images = images + 0.1 * (random.random() + np.random.rand() + torch.randn(())) + self.shift
        return self.layers(images).flatten(1)


class Module(MMLModule):
    """Logs in all ways."""

    def __init__(self, recipe: Any) -> None:
        super().__init__(Net(), [TaskOutput(task="tiny", task_type="classification", width=2)], recipe)
        self.accuracy = MulticlassAccuracy(2)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.accuracy(self(batch["image"]), batch["target"])
        self.log("train/accuracy", self.accuracy, on_step=True, on_epoch=True)
        self.log("train/worst", loss, reduce_fx="max", on_step=False, on_epoch=True)
        return loss


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, install_task: Any) -> Any:
    """Sixteen images to train on: four batches of four, two epochs of them."""
    from mml_core.tasks.index import TaskIndex

    data = tmp_path_factory.mktemp("data")
    install_task(data, "tiny")
    return TaskIndex(data).get("tiny")


class Fit:
    """A fit that can be attempted again and again.

    Args:
        folder: Where its attempts work.
        cfg: The config.
        data: Makes the data module.
        callbacks: Makes further callbacks.
    """

    def __init__(self, folder: Path, cfg: Any, data: Callable[[], Any], callbacks: Callable[[], list[Any]]):
        self.folder, self.cfg, self.data, self.callbacks = folder, cfg, data, callbacks
        self.attempts: list[Path] = []

    def attempt(self, kill: KillAt | None = None, interruptions: Any = None) -> dict[str, Any] | None:
        """Attempt it, and return all that is there in the end; None where it was killed."""
        own = self.folder / str(len(self.attempts))
        fits = StepFits(own / "checkpoints", self.attempts[::-1], interruptions)
        random.seed(1)
        np.random.seed(2)
        torch.manual_seed(3)
        module, history = Module(recipe_of(self.cfg)), History()
        callbacks = [history, *self.callbacks(), *([kill] if kill else [])]
        trainer = create_trainer(self.cfg, default_root_dir=own, callbacks=callbacks, fits=fits)
        self.attempts.append(own / "checkpoints")
        try:
            trainer.fit(module, datamodule=self.data())
        except Killed:
            return None
        return ending(trainer, module, history)


def ending(trainer: StepTrainer, module: Module, history: History) -> dict[str, Any]:
    return {
        "weights": flat(module.state_dict()),
        "shift": float(module.network.shift),
        "optimiser": flat(trainer.optimizers[0].state_dict()),
        "rates": [flat(each.scheduler.state_dict()) for each in trainer.lr_scheduler_configs],
        "history": history.epochs,
        "metrics": flat(trainer.callback_metrics),
        "steps": (trainer.global_step, trainer.current_epoch, trainer.fit_loop.epoch_loop.total_batch_idx),
        "random": (random.random(), np.random.rand(), float(torch.rand(()))),
    }


def flat(value: Any) -> Any:
    """Tensors as bytes, for comparing bits."""
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: flat(each) for key, each in value.items()}
    return [flat(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture
def make_fit(task: Any, learning_config: Any, tmp_path: Path) -> Callable[..., Fit]:
    """``make_fit(name, trainer__max_epochs=3, …)``"""
    from mml_core.data.datamodule import create_datamodule

    def make(name: str, *, workers: int = 0, callbacks: Any = list, data: Any = None, **changes: Any) -> Fit:
        options = {
            "trainer__accelerator": "cpu",
            "trainer__max_epochs": EPOCHS,
            "callbacks__checkpoint": {"every_minutes": 0, "every_n_batches": 1},
            "lr_scheduler": {"name": "cosine", "warmup": 0.25},
        }
        cfg = learning_config(**{**options, **changes})
        cfg |= {
            "preprocessing": {"id": "none"},
            "loader": {"batch_size": 4, "num_workers": workers},
            "augmentations": {"name": "light", "rotate": 10.0},
        }

        def own_data() -> Any:
            return create_datamodule(cfg, task, data_root=task.data, fold=0, seed=5)

        return Fit(tmp_path / name, cfg, data or own_data, callbacks)

    return make


def stop_early() -> list[Callback]:
    return [EarlyStopping("val/loss", patience=1, min_delta=10.0)]


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "validation within the epoch": {"trainer__val_check_interval": 2},
    "validation by batches": {"trainer__val_check_interval": 3, "trainer__check_val_every_n_epoch": None},
    "validation every other epoch": {"trainer__check_val_every_n_epoch": 2},
    "gathered gradients": {"trainer__accumulate_grad_batches": 3},
    "rate by epoch": {"lr_scheduler": {"name": "step", "interval": "epoch"}},
    "one cycle": {"lr_scheduler": {"name": "onecycle"}},
    "a number of steps": {"trainer__max_epochs": -1, "trainer__max_steps": 7},
    "half of the batches": {"trainer__limit_train_batches": 0.5, "trainer__max_epochs": 4},
    "stopping early": {"callbacks": stop_early, "trainer__max_epochs": 9},
    "mixed precision": {"trainer__precision": "bf16-mixed"},
    "loading anew": {"trainer__reload_dataloaders_every_n_epochs": 1},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_g02_killed_after_every_batch_it_ends_the_same(make_fit: Any, variant: str) -> None:
    expected = make_fit("whole", **VARIANTS[variant]).attempt()
    fit, attempts = make_fit("killed", **VARIANTS[variant]), 0
    while (found := fit.attempt(KillAt("on_train_batch_start", 1))) is None:
        attempts += 1
    assert found == expected
    assert attempts + 1 == expected["steps"][2] + 1 >= 7
