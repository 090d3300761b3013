"""Mixing the images and targets of a batch: mixup and CutMix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mml_core.data.errors import LoaderError
from mml_core.data.randomness import uniforms
from mml_core.data.sampling import BatchIndex
from mml_core.tasks.description import TaskType

_MIXED = (TaskType.CLASSIFICATION, TaskType.MULTILABEL)


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """Each sample is mixed with the one before it in its batch, which the order of the epoch has chosen.

    mixup (Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018) blends images, CutMix (Yun et al.,
    CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, 2019) replaces a
    rectangle; targets become the shares of the two. Where both are asked for, half of the samples get either.

    Attributes:
        mixup: Parameter of the symmetric Beta distribution of the share; 0: no mixup.
        cutmix: The same for CutMix.
        probability: Of a sample to be mixed at all.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0

    def __bool__(self) -> bool:
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)

    def check(self, task_type: TaskType) -> None:
        """Refuse tasks whose targets have no shares.

        Raises:
            LoaderError: The task is neither a classification nor multilabel.
        """
        if self and task_type not in _MIXED:
            key = "mixup" if self.mixup else "cutmix"
            raise LoaderError(
                f"augmentations.{key} mixes the classes of images, the task is of type {task_type.value}: "
                f"set augmentations.{key}=0."
            )

    def draw(self, seed: int, where: BatchIndex) -> NDArray[np.float32]:
        """What happens to each sample: share that mixup and that CutMix keeps, and centre of the cut.

        Returns:
            (B, 4): shares are 1 where nothing is mixed; the centre is on 0 to 1, x before y.
        """
        from scipy.special import betaincinv

        drawn = uniforms("mixing", seed, where.epoch, where.positions, 5)
        mixed = drawn[:, 0] < self.probability
        cut = mixed & ((drawn[:, 1] < 0.5) if self.mixup > 0 else True) & (self.cutmix > 0)
        found = np.ones((len(drawn), 4), dtype=np.float32)
        for column, chosen, alpha in ((0, mixed & ~cut, self.mixup), (1, cut, self.cutmix)):
            if chosen.any():
                found[chosen, column] = betaincinv(alpha, alpha, drawn[chosen, 2].astype(np.float64))
        found[:, 2:] = drawn[:, 3:]
        return found

    def __call__(self, images: Tensor, target: Tensor, drawn: Tensor, classes: int) -> tuple[Tensor, Tensor]:
        """Mix a batch.

        Args:
            images: (B, C, H, W).
            target: (B,) classes or (B, K) labels.
            drawn: What `draw` gave, on the device of the images.
            classes: How many classes there are.

        Returns:
            The images, and targets (B, K) as float32: probabilities of classes, or soft labels.
        """
        soft = functional.one_hot(target, classes).float() if target.ndim == 1 else target
        height, width = images.shape[-2:]
        share, side = drawn[:, 0], torch.sqrt(1 - drawn[:, 1])
        inside = (
            _within(drawn[:, 3], side, height)[:, :, None] & _within(drawn[:, 2], side, width)[:, None, :]
        )
        kept = share[:, None, None] * ~inside
        partners = images.roll(1, 0)
        images = torch.lerp(partners, images, kept[:, None].to(images.dtype))
        shares = kept.mean((1, 2))[:, None]
        return images, torch.lerp(soft.roll(1, 0), soft, shares)


def _within(centre: Tensor, side: Tensor, extent: int) -> Tensor:
    """Which of so many pixels lie in a cut (B, extent), whose part beyond the border is lost."""
    middle, half = centre[:, None] * extent, side[:, None] * extent / 2
    pixels = torch.arange(extent, device=centre.device)[None] + 0.5
    return (pixels > middle - half) & (pixels < middle + half)


def mixing_of(values: dict[str, Any]) -> Mixing:
    """Read the keys ``mixup``, ``cutmix`` and ``mix_probability`` of the group ``augmentations``.

    Raises:
        LoaderError: A value is impossible.
    """
    limits = {"mixup": 100.0, "cutmix": 100.0, "mix_probability": 1.0}
    for key, limit in limits.items():
        value = values.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= limit:
            raise LoaderError(f"augmentations.{key} is {value!r}; a number from 0 to {limit:g} is needed.")
    return Mixing(
        mixup=float(values.get("mixup", 0.0)),
        cutmix=float(values.get("cutmix", 0.0)),
        probability=float(values.get("mix_probability", 1.0)),
    )
