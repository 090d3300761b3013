"""The history of a fit: losses and metrics of each epoch."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from mml_core.learning.results import Score


class History(Callback):
    """Collects what is logged in each epoch.

    Attributes:
        epochs: Per epoch: name such as ``val/accuracy`` to value.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the metrics of the epoch, those of its validation included."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if len(self.epochs) == trainer.current_epoch:
            self.epochs.append(metrics)

    @override
    def state_dict(self) -> dict[str, list[dict[str, float]]]:
        """Return the epochs so far, for a checkpoint."""
        return {"epochs": self.epochs}

    @override
    def load_state_dict(self, state_dict: dict[str, list[dict[str, float]]]) -> None:
        """Go on from the epochs of a checkpoint."""
        self.epochs = [dict(epoch) for epoch in state_dict["epochs"]]

    @property
    def last(self) -> dict[str, float]:
        """What the last epoch logged; empty before it."""
        return self.epochs[-1] if self.epochs else {}

    def scores(self, task: str, fold: int) -> list[Score]:
        """Return the history of a fit of one task as rows of a table."""
        rows = []
        for epoch, metrics in enumerate(self.epochs):
            for name, value in sorted(metrics.items()):
                split, _, metric = name.partition("/")
                rows.append(Score(task=task, fold=fold, split=split, epoch=epoch, metric=metric, value=value))
        return rows
