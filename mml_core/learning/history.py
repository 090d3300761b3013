"""The history of a fit: losses and metrics of each epoch."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from typing_extensions import override

from mml_core.learning.results import Score

TRAINING, VALIDATION = "train/", "val/"


class History(Callback):
    """Collects the losses and metrics of each epoch; those of validation where it ran in that epoch.

    Attributes:
        epochs: Per epoch: name such as ``val/accuracy`` to value.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._validated = False

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there are new values; Lightning goes on showing old ones."""
        self._validated = self._validated or not trainer.sanity_checking

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what a validation after the fit says of the weights that are stored: an average of others."""
        if trainer.state.fn == TrainerFn.VALIDATING and self.epochs:
            metrics = trainer.callback_metrics
            self.last.update({name: float(metrics[name]) for name in metrics if name.startswith(VALIDATION)})

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the metrics of the epoch."""
        new = (TRAINING, VALIDATION) if self._validated else TRAINING
        self._validated = False
        if len(self.epochs) == trainer.current_epoch:
            metrics = trainer.callback_metrics
            self.epochs.append({name: float(metrics[name]) for name in metrics if name.startswith(new)})

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far, for a checkpoint."""
        return {"epochs": self.epochs, "validated": self._validated}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the epochs of a checkpoint."""
        self.epochs = [dict(epoch) for epoch in state_dict["epochs"]]
        self._validated = bool(state_dict["validated"])

    @property
    def last(self) -> dict[str, float]:
        """What the last epoch logged; empty before it."""
        return self.epochs[-1] if self.epochs else {}

    def scores(self, task: str, fold: int) -> list[Score]:
        """Return the history of a fit as rows of a table.

        With several tasks each has rows of its own; losses of all together are ``joint_loss`` of the task
        that the model is for.

        Args:
            task: The task that the model is for.
            fold: Its validation fold.
        """
        rows = []
        for epoch, metrics in enumerate(self.epochs):
            joint = any(name.count("/") > 1 for name in metrics)
            for name, value in sorted(metrics.items()):
                split, _, metric = name.partition("/")
                owner, _, own = metric.rpartition("/")
                named = own if owner or not joint else f"joint_{own}"
                rows.append(
                    Score(task=owner or task, fold=fold, split=split, epoch=epoch, metric=named, value=value)
                )
        return rows
