"""The random numbers of training samples: functions of seed, epoch and a sample's place in the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from mml_core.data.mixing import Mixing
from mml_core.data.randomness import uniforms, words
from mml_core.data.sampling import BatchIndex

DRAWS = 12
"""Random numbers a sample is given; one per change of `Augmentation`, and some to spare."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What is drawn for a training batch, in the process that loads it.

    Attributes:
        seed: The seed of the step.
        operations: How many operations of kornia need a seed for each sample.
        mixing: How samples are mixed.
    """

    seed: int
    operations: int = 0
    mixing: Mixing = field(default_factory=Mixing)

    def of(self, where: BatchIndex) -> dict[str, Any]:
        """What is added to a batch: uniform ``draws`` (B, `DRAWS`), and ``seeds`` and ``mixing`` if needed.

        ``seeds`` (B, operations) are an array, which stays with the processor: it draws parameters by them.
        """
        numbers = uniforms("augmentation", self.seed, where.epoch, where.positions, DRAWS)
        drawn: dict[str, Any] = {"draws": torch.from_numpy(numbers)}
        if self.operations:
            drawn["seeds"] = words("kornia", self.seed, where.epoch, where.positions, self.operations)
        if self.mixing:
            drawn["mixing"] = torch.from_numpy(self.mixing.draw(self.seed, where))
        return drawn
