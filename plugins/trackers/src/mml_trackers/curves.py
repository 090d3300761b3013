"""The callback that notes the metrics of each epoch."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from mml_trackers.journal import StepJournal


class Curves(Callback):
    """Notes what was logged in an epoch, when it ends; validation where it ran in that epoch.

    Args:
        journal: That of the step.
        fit: Which training of the step it is, from 1.
    """

    def __init__(self, journal: StepJournal, fit: int) -> None:
        self._journal = journal
        self._fit = fit
        self._validated = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note with which epoch the training begins or goes on."""
        if trainer.is_global_zero:
            self._journal.note("fit", fit=self._fit, epoch=trainer.current_epoch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that there are new values; Lightning goes on showing old ones."""
        self._validated = self._validated or not trainer.sanity_checking

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what a validation after the training says of the weights that are stored: an average."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._note(trainer, max(0, trainer.current_epoch - 1), ("val/",), "stored/")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the metrics of the epoch."""
        parts = ("train/", "val/") if self._validated else ("train/",)
        self._validated = False
        self._note(trainer, trainer.current_epoch, parts, "")

    def state_dict(self) -> dict[str, Any]:
        """Return whether the running epoch has been validated."""
        return {"validated": self._validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the epoch of a checkpoint."""
        self._validated = bool(state_dict["validated"])

    def _note(self, trainer: Trainer, epoch: int, parts: tuple[str, ...], prefix: str) -> None:
        metrics = trainer.callback_metrics
        new = {f"{prefix}{name}": float(metrics[name]) for name in metrics if name.startswith(parts)}
        if new and trainer.is_global_zero:
            self._journal.note("epoch", fit=self._fit, epoch=epoch, metrics=new)
