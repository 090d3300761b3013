"""The learning-rate range test: a short training during which the rate rises from step to step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from mml_core.learning.parameter_groups import RATE_FACTOR

SMOOTHING = 0.98  # of the running average that decides whether the loss has diverged
DIVERGED = 4.0  # the test ends when that average is this many times its best


class RangeTest(Callback):
    """Raises the learning rate exponentially and notes the loss of every step (Smith, 2017).

    Args:
        low: Rate of the first step.
        high: Rate of the last step.
        steps: Number of steps of the optimiser.

    Attributes:
        losses: The loss of each step, the mean over the batches of the step.
    """

    def __init__(self, low: float, high: float, steps: int) -> None:
        self.low, self.high, self.steps = low, high, steps
        self.losses: list[float] = []
        self._batches: list[float] = []
        self._average = 0.0
        self._best = math.inf

    @property
    def rates(self) -> list[float]:
        """The learning rate of each step that was taken."""
        return [self._rate(step) for step in range(len(self.losses))]

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._rate(len(self.losses)) * group.get(RATE_FACTOR, 1.0)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        self._batches.append(float(loss) * trainer.accumulate_grad_batches)
        if trainer.global_step > len(self.losses):
            self._note(sum(self._batches) / len(self._batches), trainer)
            self._batches = []

    def _note(self, loss: float, trainer: Trainer) -> None:
        self.losses.append(loss)
        self._average = SMOOTHING * self._average + (1 - SMOOTHING) * loss
        average = self._average / (1 - SMOOTHING ** len(self.losses))
        self._best = min(self._best, average) if len(self.losses) > 1 else average
        if not math.isfinite(loss) or average > DIVERGED * self._best:
            trainer.should_stop = True

    def _rate(self, step: int) -> float:
        return float(self.low * (self.high / self.low) ** (step / max(1, self.steps - 1)))
