"""The weights of the best validation of a fit, kept while it goes on."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from typing_extensions import override

from mml_core.learning.options import OptionError
from mml_core.learning.selection import VALIDATION, Monitor


class BestWeights(Callback):
    """Keeps a copy of the weights whenever a validation is better than all before.

    The copy lies in the memory of the host and in the checkpoints of the fit, so that a fit which is gone on
    with knows it, too. Of equally good validations the first counts, and one that is NaN never does.

    Args:
        monitor: What is compared.

    Attributes:
        value: The best value; None where there was none.
        epoch: Its epoch, from 0.
        metrics: All values of that validation.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.value: float | None = None
        self.epoch: int | None = None
        self.metrics: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if they are better.

        Raises:
            OptionError: The fit does not log what is monitored.
        """
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        logged = trainer.callback_metrics
        if self.monitor.name not in logged:
            raise OptionError(
                f"mode.monitor is '{self.monitor.name}', which this training does not log; there are"
                f" {', '.join(sorted(logged))}."
            )
        value = float(logged[self.monitor.name])
        if self.monitor.improves(value, self.value):
            self.value, self.epoch = value, trainer.current_epoch
            self.metrics = {name: float(logged[name]) for name in logged if name.startswith(VALIDATION)}
            self._weights = {
                name: tensor.detach().to("cpu", copy=True) for name, tensor in pl_module.state_dict().items()
            }

    def restore(self, module: LightningModule) -> bool:
        """Give a module the best weights.

        Returns:
            Whether there are any: every value was NaN, or nothing was validated, where not.
        """
        if self.value is None or math.isnan(self.value):
            return False
        with torch.no_grad():
            module.load_state_dict(self._weights)
        return True

    @override
    def state_dict(self) -> dict[str, Any]:
        """Return the best so far, for a checkpoint."""
        return {
            "value": self.value,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "weights": self._weights,
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best of a checkpoint."""
        self.value, self.epoch = state_dict["value"], state_dict["epoch"]
        self.metrics, self._weights = dict(state_dict["metrics"]), dict(state_dict["weights"])
