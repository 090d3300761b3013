"""Normalising batches by the mean and standard deviation of each channel."""

from __future__ import annotations

import torch
from torch import Tensor


class Normaliser:
    """Takes the mean away and divides by the standard deviation; a constant channel becomes zero.

    Args:
        means: Of each channel, on 0 to 1.
        stds: The same.
    """

    def __init__(self, means: list[float], stds: list[float]) -> None:
        self._values = (means, [std if std > 1e-6 else 1.0 for std in stds])
        self._placed: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise images (B, C, H, W) of float32."""
        if images.device not in self._placed:
            means, stds = (
                torch.tensor(values, dtype=torch.float32, device=images.device).reshape(1, -1, 1, 1)
                for values in self._values
            )
            self._placed[images.device] = (means, stds)
        means, stds = self._placed[images.device]
        return images.sub(means).div_(stds)
