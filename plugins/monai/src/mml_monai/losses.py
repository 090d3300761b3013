"""MONAI's losses where they need a change to be deterministic on CUDA."""

from __future__ import annotations

from monai import losses
from torch import Tensor


class DiceCELoss(losses.DiceCELoss):
    """Dice plus cross entropy of pixels as a list: CUDA's kernel for images is not deterministic."""

    def ce(self, input: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, C, H, W) with class numbers (B, 1, H, W) or shares (B, C, H, W)."""
        return super().ce(_by_pixel(input), _by_pixel(target))


def _by_pixel(images: Tensor) -> Tensor:
    return images.movedim(1, -1).flatten(0, -2)
