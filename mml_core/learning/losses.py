"""Losses by task type: names of the config group ``loss``, or any ``pkg.mod:Name`` with the same call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from mml_core.learning.options import OptionError, choose, require_arguments, require_known
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TRAINABLE

NOTHING_IGNORED = -100
"""What torch's cross entropy takes for no class by default."""


class PixelCrossEntropyLoss(nn.CrossEntropyLoss):
    """Cross entropy of pixels, as a list of samples: CUDA's kernel for images is not deterministic.

    A batch whose pixels are all ignored has a loss of 0, from which nothing is learned.
    """

    @override
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, C, H, W) with a mask of class numbers (B, H, W)."""
        if self.ignore_index != NOTHING_IGNORED and bool((target == self.ignore_index).all()):
            return logits.sum() * 0.0
        return super().forward(logits.movedim(1, -1).flatten(0, -2), target.flatten())


class DiceCELoss(nn.Module):
    """Soft Dice plus cross entropy for integer masks, the usual loss for segmentation.

    Dice is averaged over images and classes (Milletari et al., V-Net, 2016, with squared-free denominator).

    Args:
        dice_weight: Weight of the Dice term.
        ce_weight: Weight of the cross entropy.
        include_background: Whether class 0 counts in the Dice term.
        smooth: Added to numerator and denominator, so that an absent class gives 0 loss when left out.
        label_smoothing: Of the cross entropy.
        ignore_index: A number in the masks that is no class: its pixels count in neither term.
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
        include_background: bool = False,
        smooth: float = 1e-5,
        label_smoothing: float = 0.0,
        ignore_index: int = NOTHING_IGNORED,
    ) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.include_background = include_background
        self.smooth = smooth
        self.cross_entropy = PixelCrossEntropyLoss(label_smoothing=label_smoothing, ignore_index=ignore_index)
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compare logits (B, C, H, W) with a mask of class numbers (B, H, W)."""
        probability = logits.softmax(1)
        if self.ignore_index != NOTHING_IGNORED:
            counted = target != self.ignore_index
            known = torch.where(counted, target, 0)
            probability = probability * counted.unsqueeze(1)
            truth = functional.one_hot(known, logits.shape[1]) * counted.unsqueeze(-1)
        else:
            truth = functional.one_hot(target, logits.shape[1])
        truth = truth.movedim(-1, 1).to(probability.dtype)
        if not self.include_background and logits.shape[1] > 1:
            probability, truth = probability[:, 1:], truth[:, 1:]
        overlap = (probability * truth).sum((2, 3))
        total = probability.sum((2, 3)) + truth.sum((2, 3))
        dice = (2 * overlap + self.smooth) / (total + self.smooth)
        entropy: Tensor = self.cross_entropy(logits, target)
        return self.ce_weight * entropy + self.dice_weight * (1 - dice).mean()


BY_TYPE: dict[str, dict[str, Callable[..., nn.Module]]] = {
    CLASSIFICATION: {"cross_entropy": nn.CrossEntropyLoss},
    MULTILABEL: {"bce": nn.BCEWithLogitsLoss},
    REGRESSION: {"mse": nn.MSELoss, "l1": nn.L1Loss, "smooth_l1": nn.SmoothL1Loss},
    SEGMENTATION: {"dice_ce": DiceCELoss, "cross_entropy": PixelCrossEntropyLoss},
}
OPTIONS = ("name", "kwargs", "target_channel")


def build_loss(task_type: str, config: dict[str, Any], ignore_index: int | None = None) -> nn.Module:
    """Make the loss of one task type.

    Args:
        task_type: Type of the task.
        config: The group ``loss``: task type → ``{name, kwargs, target_channel}``. With ``target_channel``
            a mask gets a channel axis (B, 1, H, W), as MONAI's losses want it.
        ignore_index: A number in the masks of the task that is no class; None where each pixel has one.

    Raises:
        OptionError: If the name or an argument is unknown, or the loss cannot leave pixels out.
    """
    require_known("loss", config, TRAINABLE)
    chosen = config.get(task_type)
    if not chosen or not chosen.get("name"):
        raise OptionError(f"loss.{task_type}.name is empty; choose one of {', '.join(BY_TYPE[task_type])}.")
    require_known(f"loss.{task_type}", chosen, OPTIONS)
    name, kwargs = str(chosen["name"]), dict(chosen.get("kwargs") or {})
    if ":" in name:
        from mml_core.plugins import load_ref

        factory: Any = load_ref(name)
        if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
            raise OptionError(
                f"loss.{task_type}.name '{name}' is {factory!r}; a subclass of torch.nn.Module is needed."
            )
    else:
        factory = choose(f"loss for {task_type} tasks", name, BY_TYPE[task_type])
    require_arguments(f"loss.{task_type}.kwargs", factory, kwargs)
    if ignore_index is not None:
        if "ignore_index" not in inspect.signature(factory).parameters:
            raise OptionError(
                f"The masks of the task have pixels to ignore ({ignore_index}), and loss.{task_type}.name"
                f" '{name}' takes no 'ignore_index'; choose one of {', '.join(BY_TYPE[task_type])}."
            )
        kwargs.setdefault("ignore_index", ignore_index)
    for key in ("weight", "pos_weight"):
        if isinstance(kwargs.get(key), list):
            kwargs[key] = torch.tensor(kwargs[key], dtype=torch.float32)
    try:
        loss: nn.Module = factory(**kwargs)
    except (TypeError, ValueError) as error:
        raise OptionError(f"loss.{task_type}.kwargs: {' '.join(str(error).split())}") from error
    return _WithTargetChannel(loss) if chosen.get("target_channel") else loss


class _WithTargetChannel(nn.Module):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        result: Tensor = self.loss(logits, target.unsqueeze(1))
        return result
