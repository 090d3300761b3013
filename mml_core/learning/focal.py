"""The focal loss (Lin et al., Focal Loss for Dense Object Detection, 2017) of classes, labels and pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

SMALLEST = 1e-12
"""What a power of the error is taken of at least: below 1, powers have no slope at 0."""


class FocalLoss(nn.Module):
    """Cross entropy whose terms are weighted by (1 - p)^gamma, so that what is easy counts less.

    With ``gamma`` 0 it is torch's cross entropy, class weights and label smoothing included.

    Args:
        gamma: How much less; 2 is usual.
        weight: A weight for each class, (C).
        label_smoothing: Share of the probability that is spread over all classes.
    """

    weight: Tensor | None

    def __init__(
        self, *, gamma: float = 2.0, weight: Tensor | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        _check_gamma(gamma)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing is a share from 0 to 1, found {label_smoothing}")
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, C) with classes (B,), or with shares of classes (B, C)."""
        classes = logits.shape[1]
        weight = torch.ones_like(logits[0]) if self.weight is None else self.weight
        hard = target.ndim == 1
        shares = functional.one_hot(target, classes).to(logits.dtype) if hard else target
        count = weight[target].sum() if hard else len(target)
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / classes
        log_probability = logits.log_softmax(1)
        error = (1 - log_probability.exp()).clamp_min(SMALLEST)
        return -(shares * weight * error**self.gamma * log_probability).sum() / count


class PixelFocalLoss(FocalLoss):
    """The focal loss of pixels.

    Args:
        gamma: How much less counts what is easy.
        weight: A weight for each class, (C).
        label_smoothing: Share of the probability that is spread over all classes.
        ignore_index: A number in the masks that is no class; None where each pixel has one.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(gamma=gamma, weight=weight, label_smoothing=label_smoothing)
        self.ignore_index = ignore_index

    @override
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, C, H, W) with a mask of class numbers (B, H, W)."""
        pixels, classes = logits.movedim(1, -1).flatten(0, -2), target.flatten()
        if self.ignore_index is not None:
            counted = classes != self.ignore_index
            if not bool(counted.any()):
                return logits.sum() * 0.0
            pixels, classes = pixels[counted], classes[counted]
        return super().forward(pixels, classes)


class BinaryFocalLoss(nn.Module):
    """Binary cross entropy of every label, weighted by its error to the power of gamma.

    Of soft labels the error is the distance of the probability from them (Li et al., Generalized Focal Loss,
    2020). With ``gamma`` 0 it is torch's binary cross entropy.

    Args:
        gamma: How much less counts what is easy; 2 is usual.
        pos_weight: A weight for the presence of each label, (K).
    """

    pos_weight: Tensor | None

    def __init__(self, *, gamma: float = 2.0, pos_weight: Tensor | None = None) -> None:
        super().__init__()
        _check_gamma(gamma)
        self.gamma = gamma
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, K) with labels (B, K) on 0 to 1."""
        entropy = functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=self.pos_weight, reduction="none"
        )
        error = (target - logits.sigmoid()).abs().clamp_min(SMALLEST)
        return (error**self.gamma * entropy).mean()


def _check_gamma(gamma: float) -> None:
    if not gamma >= 0:
        raise ValueError(f"gamma must be a number from 0, found {gamma}")
