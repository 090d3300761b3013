"""Metrics of semantic segmentation: computed for each image and foreground class, then averaged.

Of one image and class, Dice and IoU are NaN where neither mask has the class, and 0 where one of them has it;
MONAI leaves such images out (``ignore_empty=True``) or counts two empty masks as 1 (``False``). The 95th
percentile of the Hausdorff distance is NaN where neither mask has the class, as in MONAI. Where only one has
it, the distance is infinite, which MONAI's percentile turns into NaN, so that a structure that was missed
costs nothing; here it is the diagonal of the image, the largest distance there can be (Maier-Hein et al.,
Metrics reloaded, 2024). What is NaN does not count. Ignored pixels belong to no class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from mml_core.learning.statistics import Array, Statistic, averaged
from mml_core.learning.surface import hausdorff95

OVERLAP, FOUND, THERE, HD95 = range(4)
"""What is noted of each image and class: pixels in both masks, in either, and a distance."""


def needs_surface(names: Iterable[str]) -> bool:
    """Whether a metric needs outlines: a hundred times the work of counting pixels."""
    return "hd95" in names


def image_scores(
    predicted: Tensor, target: Tensor, classes: int, *, ignore_index: int | None = None, surface: bool = False
) -> Tensor:
    """Return what the metrics need of each image and foreground class.

    Args:
        predicted: Class numbers (N, H, W), of any integer type.
        target: Class numbers (N, H, W).
        classes: Number of classes with the background.
        ignore_index: A number in ``target`` that is no class: its pixels do not count.
        surface: Whether the Hausdorff distance is wanted; else it is NaN.

    Returns:
        (N, 4, classes - 1), float64, on the CPU: pixels in both masks, in the predicted one, in the target;
        the 95th percentile of the Hausdorff distance in pixels.
    """
    counted = None if ignore_index is None else target != ignore_index
    counts: list[Tensor] = []
    distances: list[list[float]] = []
    for number in range(1, classes):
        found, there = predicted == number, target == number
        if counted is not None:
            found, there = found & counted, there & counted
        counts.append(torch.stack([mask.sum((1, 2)) for mask in (found & there, found, there)], 1))
        if surface:
            pairs = zip(found.cpu().numpy(), there.cpu().numpy(), strict=True)
            distances.append([_distance(one, other) for one, other in pairs])
    scores = torch.full((len(predicted), 4, len(counts)), math.nan, dtype=torch.float64)
    if counts:
        scores[:, :HD95] = torch.stack(counts, 2).cpu()  # one wait for the device
    if distances:
        scores[:, HD95] = torch.tensor(distances, dtype=torch.float64).T
    return scores


def dice_of(scores: Array) -> Array:
    """Return Dice per image and foreground class from what :func:`image_scores` gave."""
    with np.errstate(invalid="ignore"):
        dice: Array = 2 * scores[:, OVERLAP] / (scores[:, FOUND] + scores[:, THERE])
    return dice


def iou_of(scores: Array) -> Array:
    """Return the Jaccard index per image and foreground class."""
    with np.errstate(invalid="ignore"):
        iou: Array = scores[:, OVERLAP] / (scores[:, FOUND] + scores[:, THERE] - scores[:, OVERLAP])
    return iou


def hd95_of(scores: Array) -> Array:
    """Return the 95th percentile of the Hausdorff distance per image and foreground class, in pixels."""
    return scores[:, HD95]


def _distance(found: Array, there: Array) -> float:
    distance = hausdorff95(found, there)
    return math.hypot(*(side - 1 for side in found.shape)) if math.isinf(distance) else distance


class ImageOutcome:
    """What is known of the images of a split.

    Args:
        scores: As :func:`image_scores` gives them.
        per_class: Whether values of classes are asked for.
    """

    def __init__(self, scores: Array, *, per_class: bool = False) -> None:
        self.scores = scores
        self.per_class = per_class


def _averaged(per_image: Callable[[Array], Array]) -> Callable[[ImageOutcome], Statistic]:
    def prepare(outcome: ImageOutcome) -> Statistic:
        values = per_image(outcome.scores)
        known = ~np.isnan(values)
        with np.errstate(invalid="ignore"):
            of_images = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
        rows = [of_images[:, None], values] if outcome.per_class else [of_images[:, None]]
        return averaged(np.hstack(rows))

    return prepare


METRICS: dict[str, Callable[[ImageOutcome], Statistic]] = {
    "dice": _averaged(dice_of),
    "iou": _averaged(iou_of),
    "hd95": _averaged(hd95_of),
}
