"""A fit that is killed, after whatever batch, ends in a later attempt with the bits of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from mml_core.learning.best_weights import BestWeights
from mml_core.learning.compiling import compile_network
from mml_core.learning.factory import recipe_of
from mml_core.learning.history import History
from mml_core.learning.layers import layers_of
from mml_core.learning.module import MMLModule
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.progress import RichBar
from mml_core.learning.resuming import StepFits, StepTrainer
from mml_core.learning.saving import CheckpointRule
from mml_core.learning.selection import Monitor
from mml_core.learning.trainer import create_trainer
from mml_core.scheduling.signals import RunInterrupted, SignalGuard

pytestmark = pytest.mark.filterwarnings("error::UserWarning")

EPOCHS = 2  # of four batches each


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


class Quiet(Net):
    """Adds no noise, which Python's generators have no place for in a compiled network."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
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


class Layered(Module):
    """Has two layers that learn at different rates."""

    def __init__(self, recipe: Any) -> None:
        super().__init__(recipe)
        self.network.layers.insert(0, nn.Conv2d(1, 1, 1))


class Compiled(Module):
    """Has a network that is compiled anew in each attempt."""

    def __init__(self, recipe: Any) -> None:
        super().__init__(recipe)
        self.network = Quiet()
        compile_network(self.network, "aot_eager")


class Probe(Module):
    """Trains its head alone."""

    def __init__(self, recipe: Any) -> None:
        super().__init__(recipe)
        self.freeze_layers(layers_of(self.network))


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
        module: What is trained.
    """

    def __init__(
        self,
        folder: Path,
        cfg: Any,
        data: Callable[[], Any],
        callbacks: Callable[[], list[Any]],
        module: type[Module],
    ) -> None:
        self.folder, self.cfg, self.data, self.callbacks, self.module = folder, cfg, data, callbacks, module
        self.attempts: list[Path] = []

    def attempt(
        self, kill: Callback | None = None, guard: SignalGuard | None = None
    ) -> dict[str, Any] | None:
        """Attempt it, and return all that is there in the end; None where it was killed."""
        own = self.folder / str(len(self.attempts))
        fits = StepFits(own / "checkpoints", self.attempts[::-1], guard)
        random.seed(1)
        np.random.seed(2)
        torch.manual_seed(3)
        module, history = self.module(recipe_of(self.cfg)), History()
        callbacks = [history, *self.callbacks(), *([kill] if kill else [])]
        trainer = create_trainer(
            self.cfg, default_root_dir=own, callbacks=callbacks, fits=fits, log_dir=self.folder / "logs"
        )
        self.attempts.append(own / "checkpoints")
        try:
            trainer.fit(module, datamodule=self.data())
        except Killed:
            return None
        return ending(trainer, module, history)

    def checkpoints(self) -> list[str]:
        """Names of all checkpoints there are, those of the newest attempt first."""
        folders = [folder / "fit-0" for folder in self.attempts[::-1]]
        return [path.name for folder in folders for path in sorted(folder.glob("*"), reverse=True)]


def ending(trainer: StepTrainer, module: Module, history: History) -> dict[str, Any]:
    return {
        "weights": flat(module.state_dict()),
        "shift": float(module.network.shift),
        "optimiser": flat(trainer.optimizers[0].state_dict()),
        "rates": [flat(each.scheduler.state_dict()) for each in trainer.lr_scheduler_configs],
        "history": history.epochs,
        "best": [flat(each.state_dict()) for each in trainer.callbacks if isinstance(each, BestWeights)],
        "metrics": flat(trainer.callback_metrics),
        "progress": {key: each for key, each in trainer.fit_loop.state_dict().items() if key != "state_dict"},
        "precision": trainer.strategy.precision_plugin.state_dict(),
        "random": (random.random(), np.random.rand(), float(torch.rand(()))),
    }


def flat(value: Any) -> Any:
    """Tensors as bytes, for comparing bits."""
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy().tobytes()
    if isinstance(value, dict):
        return {key: flat(each) for key, each in value.items()}
    return [flat(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.fixture
def make_fit(task: Any, learning_config: Any, tmp_path: Path) -> Callable[..., Fit]:
    """``make_fit(name, trainer__max_epochs=3, …)``"""
    from mml_core.data.datamodule import create_datamodule

    def make(
        name: str,
        *,
        workers: int = 0,
        callbacks: Any = list,
        data: Any = None,
        module: type[Module] = Module,
        **changes: Any,
    ) -> Fit:
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

        return Fit(tmp_path / name, cfg, data or own_data, callbacks, module)

    return make


def keep_best() -> list[Callback]:
    return [BestWeights(Monitor(name="val/accuracy", direction="max"))]


class Scaled(Callback):
    """Scales the loss as on a GPU, by a factor that changes every two steps."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)


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
    "stopping early": {
        "callbacks__early_stopping": {"patience": 2, "min_delta": 10.0},
        "trainer__max_epochs": 9,
        "trainer__val_check_interval": 2,
    },
    "rate by metric": {
        "lr_scheduler": {"name": "plateau", "interval": "epoch", "patience": 0, "threshold": 1.0},
        "trainer__max_epochs": 3,
    },
    "best weights": {"callbacks": keep_best, "trainer__max_epochs": 3, "trainer__val_check_interval": 2},
    "mixed precision": {"trainer__precision": "bf16-mixed"},
    "scaled loss": {"callbacks": lambda: [Scaled()]},
    "rates by layer": {
        "optimizer": {"name": "adamw", "lr": 0.1, "layer_decay": 0.5, "decay_norms_and_biases": False},
        "module": Layered,
    },
    "moving average": {"callbacks__ema": {"decay": 0.8}, "trainer__val_check_interval": 2},
    "moving average of gathered gradients": {
        "callbacks__ema": {"decay": 0.8, "start_epoch": 1, "validate": False},
        "trainer__accumulate_grad_batches": 3,
    },
    "mean of epochs": {"callbacks__swa": {"start": 0.5, "lr": 0.05}, "trainer__max_epochs": 4},
    "mean of epochs of a probe": {"callbacks__swa": {"start": 0.5}, "module": Probe},
    "much at once": {
        "callbacks__ema": {"decay": 0.8},
        "module": Layered,
        "optimizer": {"name": "adamw", "lr": 0.1, "layer_decay": 0.5},
        "trainer__accumulate_grad_batches": 3,
        "trainer__gradient_clip_val": 0.1,
        "trainer__precision": "bf16-mixed",
    },
    "compiled": {"module": Compiled},
    "frozen layers": {"module": Probe},
    "adapters": {"adapter": {"name": "lora", "kwargs": {"r": 2, "lora_dropout": 0.2}}, "module": Layered},
    "moving average of adapters": {
        "adapter": {"name": "lokr", "kwargs": {"r": 2}},
        "callbacks__ema": {"decay": 0.8},
    },
    "loading anew": {"trainer__reload_dataloaders_every_n_epochs": 1},
}
ON_A_GPU: dict[str, dict[str, Any]] = {
    "on a GPU": {"trainer__accelerator": "gpu"},
    "scaled loss on a GPU": {"trainer__accelerator": "gpu", "trainer__precision": "16-mixed"},
    "compiled on a GPU": {"trainer__accelerator": "gpu", "module": Compiled},
}


@pytest.mark.parametrize(
    "variant", [*VARIANTS, *(pytest.param(name, marks=pytest.mark.gpu) for name in ON_A_GPU)]
)
def test_g02_killed_after_every_batch_it_ends_the_same(make_fit: Any, variant: str) -> None:
    options = {**VARIANTS, **ON_A_GPU}[variant]
    expected = make_fit("whole", **options).attempt()
    fit, attempts = make_fit("killed", **options), 0
    while (found := fit.attempt(KillAt("on_train_batch_start", 1))) is None:
        attempts += 1
    assert found == expected
    assert attempts == expected["progress"]["epoch_loop.batch_progress"]["total"]["completed"] - 1 >= 5
    assert fit.attempt(KillAt("on_train_end", 0)) is None
    assert fit.attempt() == expected


@pytest.mark.parametrize(
    ("hook", "number", "resumed"),
    [
        ("on_train_batch_end", 4, 3),
        ("on_validation_batch_start", 2, 3),
        ("on_validation_end", 0, 3),
        ("on_train_epoch_end", 0, 3),
        ("on_train_epoch_start", 1, 3),
        ("on_save_checkpoint", 1, 3),
        ("on_train_end", 0, 6),
    ],
)
def test_killed_anywhere_else_it_ends_the_same(make_fit: Any, hook: str, number: int, resumed: int) -> None:
    expected = make_fit("whole").attempt()
    fit = make_fit("killed", callbacks__checkpoint={"every_minutes": 0, "every_n_batches": 3})
    assert fit.attempt(KillAt(hook, number)) is None
    assert fit.checkpoints()[0] == f"batch-{resumed:09d}.ckpt"
    assert fit.attempt() == expected


def test_g02_the_number_of_loading_processes_may_change(make_fit: Any) -> None:
    expected = make_fit("whole").attempt()
    fit, other = make_fit("killed", workers=2), make_fit("killed")
    other.attempts = fit.attempts
    assert fit.attempt(KillAt("on_train_batch_start", 2)) is None
    assert other.attempt(KillAt("on_train_batch_start", 3)) is None
    assert fit.attempt() == expected


IMAGES, TARGETS = torch.linspace(0, 1, 16 * 64).reshape(16, 1, 8, 8), torch.arange(16) % 2


class Given(LightningDataModule):
    """Trains with a loader that somebody else wrote."""

    def __init__(self, loader: Callable[[], Any]) -> None:
        super().__init__()
        self.train_dataloader = loader


def collate(samples: list[Any]) -> dict[str, torch.Tensor]:
    images, targets = zip(*samples, strict=True)
    return {"image": torch.stack(images), "target": torch.stack(targets)}


class Eager:
    """A loader that knows its place in an epoch, but not the epoch, and takes it when it is iterated over."""

    def __init__(self) -> None:
        self.sampler = self
        self.epoch = self.place = self.start = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Any:
        start, self.start = self.start, 0
        return self._batches(start)

    def _batches(self, start: int) -> Any:
        rows = np.random.default_rng(self.epoch).permutation(16)
        for self.place in range(start + 1, 5):
            chosen = rows[4 * self.place - 4 : 4 * self.place]
            yield {"image": IMAGES[chosen], "target": TARGETS[chosen]}

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place % 4}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["place"]


def test_any_loader_that_stores_its_place_is_put_there(make_fit: Any) -> None:
    options = {"data": lambda: Given(Eager), "trainer__max_epochs": 3, "trainer__limit_val_batches": 0}
    expected = make_fit("whole", **options).attempt()
    fit = make_fit("killed", **options)
    while (found := fit.attempt(KillAt("on_train_batch_start", 1))) is None:
        pass
    assert found == expected
    assert len(fit.attempts) == 12


@pytest.mark.parametrize("seeded", [False, True])
def test_with_a_loader_that_forgets_its_place_it_goes_on_from_the_end_of_an_epoch(
    make_fit: Any, seeded: bool
) -> None:
    def loader() -> DataLoader:
        generator = torch.Generator().manual_seed(1) if seeded else None
        rows = TensorDataset(IMAGES, TARGETS)
        return DataLoader(rows, batch_size=4, shuffle=True, generator=generator, collate_fn=collate)

    options = {"data": lambda: Given(loader), "trainer__max_epochs": 3, "trainer__limit_val_batches": 0}
    expected = make_fit("whole", **options).attempt()
    fit = make_fit("killed", **options)
    for number, left in ((6, [4]), (3, [4]), (7, [8, 4]), (2, [8, 4])):
        assert fit.attempt(KillAt("on_train_batch_start", number)) is None
        assert fit.checkpoints() == [f"batch-{batch:09d}.ckpt" for batch in left]
    assert fit.attempt() == expected


def test_g07_a_broken_newest_checkpoint_costs_the_batches_since_the_one_before(make_fit: Any) -> None:
    expected = make_fit("whole").attempt()
    fit = make_fit("killed")
    assert fit.attempt(KillAt("on_train_batch_start", 5)) is None
    newest = fit.attempts[0] / "fit-0" / "batch-000000005.ckpt"
    os.truncate(newest, newest.stat().st_size - 1)
    started = Seen()
    assert fit.attempt(started) == expected
    assert started.batches == [4, 5, 6, 7]
    for path in [path for folder in fit.attempts for path in folder.rglob("*.ckpt")]:
        os.truncate(path, 100)
    assert fit.attempt(started) == expected
    assert started.batches == [*range(4, 8), *range(8)]


class Seen(Callback):
    """Notes which batches a fit begins with."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        self.batches.append(trainer.fit_loop.total_batch_idx)


class Signal(Callback):
    """Sends a signal to the process, where the fit is at a batch, in the first calls of a hook."""

    def __init__(self, signum: signal.Signals, hook: str, batch: int, times: int = 1) -> None:
        self.signum, self.batch, self.times = signum, batch, times
        setattr(self, hook, self._send)

    def _send(self, trainer: Any, *args: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch and self.times:
            self.times -= 1
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize(
    ("hook", "batch", "gathered"),
    [("on_train_batch_start", 1, 1), ("on_train_batch_start", 4, 3), ("on_validation_batch_start", 3, 1)],
)
def test_g12_a_signal_waits_for_a_checkpoint_between_two_batches(
    make_fit: Any, signum: signal.Signals, hook: str, batch: int, gathered: int, capfd: Any
) -> None:
    options = {"trainer__accumulate_grad_batches": gathered, "callbacks__checkpoint": {"every_minutes": 10}}
    expected = make_fit("whole", **options).attempt()
    fit = make_fit("stopped", **options)
    with pytest.raises(RunInterrupted, match=signum.name), SignalGuard() as guard:
        fit.attempt(Signal(signum, hook, batch), guard)
    assert fit.checkpoints() == [f"batch-{batch + 1:09d}.ckpt"]
    assert fit.attempt() == expected
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_pressed_again_does_not_wait(make_fit: Any) -> None:
    fit = make_fit("stopped", callbacks__checkpoint={"every_minutes": 10})
    twice = Signal(signal.SIGINT, "on_validation_batch_start", 3, times=2)
    with pytest.raises(RunInterrupted, match="SIGINT"), SignalGuard() as guard:
        fit.attempt(twice, guard)
    assert fit.checkpoints() == []


def test_a_fit_that_fails_by_a_signal_to_its_loaders_is_interrupted(make_fit: Any) -> None:
    class Fails(Signal):
        def _send(self, trainer: Any, *args: Any) -> None:
            super()._send(trainer)
            if trainer.fit_loop.total_batch_idx == self.batch:
                raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")

    with pytest.raises(RunInterrupted, match="SIGTERM"), SignalGuard() as guard:
        make_fit("stopped").attempt(Fails(signal.SIGTERM, "on_train_batch_start", 2), guard)


def test_g14_a_full_disk_does_not_keep_a_signal_from_stopping_the_fit(
    make_fit: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError("no space left on device")

    expected = make_fit("whole").attempt()
    fit = make_fit("stopped", callbacks__checkpoint={"every_minutes": 0, "every_n_batches": 2})
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(RunInterrupted), SignalGuard() as guard:
        fit.attempt(Signal(signal.SIGTERM, "on_train_batch_start", 0), guard)
    assert "no space left on device; the training will go on" in caplog.text
    with pytest.raises(OSError, match="no space left"):
        fit.attempt()
    monkeypatch.undo()
    assert fit.attempt() == expected


def test_what_cannot_be_read_again_is_told_when_it_is_first_written(make_fit: Any, caplog: Any) -> None:
    class Odd(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"best": np.float64(1.0)}

    assert make_fit("odd", callbacks=lambda: [Odd()]).attempt() is not None
    (message,) = caplog.messages
    assert "A killed training would start over: the state of callbacks" in message


def test_a_csv_log_has_every_row_once(make_fit: Any, tmp_path: Path) -> None:
    options = {"logging": {"loggers": ["csv"]}, "trainer__log_every_n_steps": 1}
    assert make_fit("whole", **options).attempt() is not None
    fit = make_fit("killed", **options, callbacks__checkpoint={"every_minutes": 0, "every_n_batches": 3})
    for number in (2, 5, 4):
        assert fit.attempt(KillAt("on_train_batch_start", number)) is None
    assert fit.attempt() is not None
    logs = [(tmp_path / name / "logs/csv/metrics.csv").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
    assert logs[0].count("\n") == 1 + 8 + 4  # the header, a row a step, losses and metrics of each epoch


def test_a_bar_begins_where_the_fit_goes_on(make_fit: Any) -> None:
    class Bars:
        def __init__(self) -> None:
            self.states: list[dict[str, Any]] = []

        def report(self, state: dict[str, Any]) -> None:
            self.states.append(state)

    bars = Bars()
    fit = make_fit("killed", callbacks=lambda: [RichBar("fit", bars)])  # type: ignore[arg-type]
    assert fit.attempt(KillAt("on_train_batch_start", 5)) is None
    assert fit.attempt() is not None
    assert (bars.states[-1]["done"], bars.states[-1]["total"]) == (8, 8)


def test_each_fit_of_a_step_has_checkpoints_of_its_own(make_fit: Any, tmp_path: Path) -> None:
    fits = [StepFits(tmp_path / "new", [tmp_path / "old"]), StepFits(tmp_path / "new", [tmp_path / "old"])]
    first, second = (fits[0].begin(2) for _ in range(2))
    assert first.folder != second.folder
    assert [fits[1].begin(2).folder for _ in range(2)] == [first.folder, second.folder]


def test_a_fit_shorter_than_the_interval_writes_nothing(make_fit: Any, learning_config: Any) -> None:
    fit = make_fit("short", callbacks__checkpoint=learning_config()["callbacks"]["checkpoint"])
    assert fit.attempt() is not None
    assert fit.checkpoints() == []


@pytest.mark.parametrize(
    ("options", "at", "expected"),
    [
        ({}, {"batches": 7, "seconds": 599}, False),
        ({}, {"batches": 7, "seconds": 600}, True),
        ({}, {"batches": 7, "seconds": 59, "epoch_ends": True}, False),
        ({}, {"batches": 7, "seconds": 60, "epoch_ends": True}, True),
        ({}, {"batches": 7, "seconds": 600, "cost": 31}, False),
        ({}, {"batches": 7, "seconds": 640, "cost": 31}, True),
        ({"every_minutes": 0}, {"batches": 7, "seconds": 1e9}, False),
        ({"epoch_end_seconds": None}, {"batches": 7, "seconds": 60, "epoch_ends": True}, False),
        ({"epoch_end_seconds": 0}, {"batches": 7, "seconds": 0, "epoch_ends": True}, True),
        ({"every_n_batches": 7}, {"batches": 14, "seconds": 0, "cost": 31}, True),
        ({"every_n_batches": 7}, {"batches": 15, "seconds": 0}, False),
    ],
)
def test_when_a_checkpoint_is_due(options: Any, at: Any, expected: bool) -> None:
    rule = CheckpointRule.from_config({"keep": 1, **options})
    assert rule is not None
    assert rule.is_due(**{"epoch_ends": False, **at}) is expected


@pytest.mark.parametrize("options", [{}, None, {"keep": 0}])
def test_checkpoints_can_be_switched_off(options: Any) -> None:
    assert CheckpointRule.from_config(options) is None
