"""Losses by task type: names of the config group ``loss``, or any ``pkg.mod:Name`` with the same call."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from mml_core.learning.focal import BinaryFocalLoss, FocalLoss, PixelFocalLoss
from mml_core.learning.options import OptionError, choose, is_number, require_arguments, require_known
from mml_core.learning.outputs import (
    CLASSIFICATION,
    MULTILABEL,
    REGRESSION,
    SEGMENTATION,
    TRAINABLE,
    TaskOutput,
)

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
        weight: A weight for each class, (C), in the cross entropy.
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
        weight: Tensor | None = None,
        ignore_index: int = NOTHING_IGNORED,
    ) -> None:
        super().__init__()
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.include_background = include_background
        self.smooth = smooth
        self.cross_entropy = PixelCrossEntropyLoss(
            weight, label_smoothing=label_smoothing, ignore_index=ignore_index
        )
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


BALANCED = "balanced"
WEIGHT_OF = {CLASSIFICATION: "weight", SEGMENTATION: "weight", MULTILABEL: "pos_weight"}
"""Task type → the argument of its losses that has a number for each class or label."""
BY_TYPE: dict[str, dict[str, Callable[..., nn.Module]]] = {
    CLASSIFICATION: {"cross_entropy": nn.CrossEntropyLoss, "focal": FocalLoss},
    MULTILABEL: {"bce": nn.BCEWithLogitsLoss, "focal": BinaryFocalLoss},
    REGRESSION: {"mse": nn.MSELoss, "l1": nn.L1Loss, "smooth_l1": nn.SmoothL1Loss},
    SEGMENTATION: {
        "dice_ce": DiceCELoss,
        "cross_entropy": PixelCrossEntropyLoss,
        "focal": PixelFocalLoss,
    },
}
OPTIONS = ("name", "kwargs", "class_weights", "target_channel")


def build_loss(task_type: str, config: dict[str, Any], ignore_index: int | None = None) -> nn.Module:
    """Make the loss of one task type.

    Args:
        task_type: Type of the task.
        config: The group ``loss``: task type → ``{name, kwargs, class_weights, target_channel}``. Weights of
            classes are a list; what is ``balanced`` has none yet. With ``target_channel`` a mask gets a
            channel axis (B, 1, H, W), as MONAI's losses want it.
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
    _add_class_weights(task_type, chosen.get("class_weights"), name, factory, kwargs)
    for key in ("weight", "pos_weight"):
        if isinstance(kwargs.get(key), list):
            kwargs[key] = torch.tensor(kwargs[key], dtype=torch.float32)
    try:
        loss: nn.Module = factory(**kwargs)
    except (TypeError, ValueError) as error:
        raise OptionError(f"loss.{task_type}.kwargs: {' '.join(str(error).split())}") from error
    return _WithTargetChannel(loss) if chosen.get("target_channel") else loss


def is_balanced(task_type: str, config: dict[str, Any]) -> bool:
    """Say whether the group ``loss`` has classes weighted by how often they are trained on."""
    return bool((config.get(task_type) or {}).get("class_weights") == BALANCED)


def check_loss(loss: nn.Module, output: TaskOutput, *, shares: bool = False) -> None:
    """Refuse a loss that cannot be computed for a task, by trying it on two samples.

    Args:
        loss: The loss.
        output: What it is computed for.
        shares: Whether targets are shares of classes (B, C), as mixed samples have them.

    Raises:
        OptionError: It fails.
    """
    extent = (4, 4) if output.task_type == SEGMENTATION else ()
    logits = torch.zeros(2, output.width, *extent)
    if output.task_type in (MULTILABEL, REGRESSION):
        target = torch.zeros(2, output.width)
    elif shares:
        target = torch.full((2, output.width), 1 / output.width)
    else:
        target = torch.zeros(2, *extent, dtype=torch.int64)
    try:
        loss(logits, target)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise OptionError(
            f"loss.{output.task_type} cannot be computed for {output.width} outputs"
            f"{' and shares of mixed classes' if shares else ''}: {' '.join(str(error).split())}; choose"
            f" loss.{output.task_type}.name={next(iter(BY_TYPE[output.task_type]))}"
            f"{', or set augmentations.mixup=0 and cutmix=0' if shares else ', or change its kwargs'}."
        ) from error


def _add_class_weights(
    task_type: str, weights: Any, name: str, factory: Callable[..., nn.Module], kwargs: dict[str, Any]
) -> None:
    if weights is None:
        return
    key = WEIGHT_OF.get(task_type)
    if key is None:
        raise OptionError(f"loss.{task_type}.class_weights: there are no classes to weight; set it to null.")
    if weights != BALANCED and not (isinstance(weights, list) and all(map(_is_weight, weights))):
        raise OptionError(
            f"loss.{task_type}.class_weights is {weights!r}; write balanced, null, or numbers from 0."
        )
    if key not in inspect.signature(factory).parameters:
        raise OptionError(
            f"loss.{task_type}.class_weights: '{name}' takes no '{key}'; choose one of"
            f" {', '.join(BY_TYPE[task_type])}, or set class_weights=null."
        )
    if kwargs.get(key) is not None:
        raise OptionError(
            f"loss.{task_type} has class_weights and kwargs.{key}, which are the same; set one to null."
        )
    if weights != BALANCED:
        kwargs[key] = weights


def _is_weight(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


class _WithTargetChannel(nn.Module):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        result: Tensor = self.loss(logits, target.unsqueeze(1))
        return result
