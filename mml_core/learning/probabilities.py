"""From logits to probabilities in float64 and back."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mml_core.learning.outputs import MULTILABEL
from mml_core.learning.statistics import Array


def as_array(values: Tensor | list[Tensor]) -> Array:
    """Return rows of numbers in float64, class numbers as they are."""
    assert isinstance(values, Tensor)  # masks are refused before
    numbers: Array = values.double().numpy() if values.is_floating_point() else values.numpy()
    return numbers


def probabilities(task_type: str, logits: Array) -> Array:
    """Return the probabilities of classes, which sum to 1, or of labels.

    Args:
        task_type: Classification or multilabel.
        logits: (samples, classes or labels); -inf is a probability of 0.
    """
    chances: Array
    if task_type == MULTILABEL:
        chances = np.exp(-np.logaddexp(0.0, -logits))
        return chances
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = shares / shares.sum(axis=1, keepdims=True)
    return chances


def logits_of(task_type: str, chances: Array, *, least: float = 0.0) -> Array:
    """Return logits that have these probabilities; those of classes are normalised first.

    Args:
        task_type: Classification or multilabel.
        chances: (samples, classes or labels). Where no class has any, all get the same.
        least: How far from 0 and 1 they are kept.
    """
    logits: Array
    with np.errstate(divide="ignore"):
        if task_type == MULTILABEL:
            kept = np.clip(chances, least, 1 - least)
            logits = np.log(kept) - np.log1p(-kept)
            return logits
        total = chances.sum(axis=1, keepdims=True)
        even = np.full_like(chances, 1 / chances.shape[1])
        shares = np.divide(chances, total, out=even, where=total > 0)
        logits = np.log(np.maximum(shares, least))
        return logits
