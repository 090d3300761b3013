"""The callback by which observers see what a training logs; it keeps no state and draws no random number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.seed import isolate_rng
from typing_extensions import override

from mml_core.plugins import MetricsView

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class LoggedMetrics(Callback):
    """Shows what was logged, when a validation and when an epoch of a training ends.

    Args:
        show: Takes what was logged.
        fit: Which training of the step it is, from 1.
    """

    def __init__(self, show: Callable[[MetricsView], None], fit: int) -> None:
        self._show = show
        self._fit = fit

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a validation at once, since a checkpoint may follow after which it is not done again."""
        if trainer.state.fn == TrainerFn.VALIDATING:  # after the training: of an average of weights
            self._tell(trainer, max(0, trainer.current_epoch - 1), "val/", "stored/")
        elif not trainer.sanity_checking:
            self._tell(trainer, trainer.current_epoch, "val/", "")

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show what the epoch logged in training; Lightning goes on showing old values of validations."""
        self._tell(trainer, trainer.current_epoch, "train/", "")

    def _tell(self, trainer: Trainer, epoch: int, part: str, prefix: str) -> None:
        metrics = trainer.callback_metrics
        values = {f"{prefix}{name}": float(metrics[name]) for name in metrics if name.startswith(part)}
        if values and trainer.is_global_zero:
            with isolate_rng():
                self._show(MetricsView(fit=self._fit, epoch=epoch, values=values))
