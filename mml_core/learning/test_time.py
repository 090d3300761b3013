"""Test-time augmentation: the mean prediction over views of an image, of segmentations turned back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, SEGMENTATION

_QUARTERS = {"rotate_90": 1, "rotate_180": 2, "rotate_270": 3}
_FLIPPED = {"flip_horizontal": -1, "flip_vertical": -2}


def averaged(
    predict: Callable[[Tensor], Tensor], images: Tensor, task_type: str, views: Sequence[str]
) -> Tensor:
    """Predict images and views of them, and average probabilities, or values of a regression.

    Args:
        predict: Gives logits or values, (B, K) or (B, K, H, W), of images.
        images: (B, C, H, W).
        task_type: Decides what is averaged: the probabilities of classes, of labels, or plain values.
        views: Names of `mml_core.data.augmentation.VIEWS`; none: the image alone is predicted.

    Returns:
        Logits of the mean probabilities, or mean values, as ``predict`` gives them.
    """
    if not views:
        return predict(images)
    found = [predict(images)]
    for view in views:
        output = predict(_seen(images, view))
        found.append(_seen(output, view, back=True) if task_type == SEGMENTATION else output)
    outputs = torch.stack(found)
    if task_type in (CLASSIFICATION, SEGMENTATION):
        return _log_mean(outputs.log_softmax(2))
    if task_type == MULTILABEL:
        return _log_mean(logsigmoid(outputs)) - _log_mean(logsigmoid(-outputs))
    return outputs.mean(0)


def _seen(images: Tensor, view: str, *, back: bool = False) -> Tensor:
    if view in _FLIPPED:
        return images.flip(_FLIPPED[view])
    return torch.rot90(images, -_QUARTERS[view] if back else _QUARTERS[view], (-2, -1))


def _log_mean(logarithms: Tensor) -> Tensor:
    return logarithms.logsumexp(0) - math.log(len(logarithms))
