"""Learning-rate schedules that are a factor of the optimiser's rate at each of their steps."""

from __future__ import annotations

import math
from collections.abc import Callable

Factor = Callable[[int], float]
"""Step of the schedule, from 0 → share of the learning rate."""


def none(length: int) -> Factor:
    """Return the whole learning rate at all steps."""
    return lambda step: 1.0


def constant(length: int, *, warmup: float = 0.0) -> Factor:
    """Return the whole learning rate after a linear warm-up.

    Args:
        length: Steps of the schedule.
        warmup: Share of them in which the rate rises.
    """
    return _warmed(length, warmup, lambda progress: 1.0)


def cosine(length: int, *, warmup: float = 0.0, min_factor: float = 0.0) -> Factor:
    """Return half a cosine after a linear warm-up (Loshchilov and Hutter, SGDR, 2017).

    Args:
        length: Steps of the schedule.
        warmup: Share of them in which the rate rises.
        min_factor: Share of the rate that is left at the end.
    """
    return _warmed(
        length,
        warmup,
        lambda progress: min_factor + (1 - min_factor) * 0.5 * (1 + math.cos(math.pi * progress)),
    )


def polynomial(length: int, *, warmup: float = 0.0, power: float = 1.0, min_factor: float = 0.0) -> Factor:
    """Return a power of the share of steps that is left, after a linear warm-up.

    It is the "poly" schedule of segmentation (Chen et al., DeepLab, 2018).

    Args:
        length: Steps of the schedule.
        warmup: Share of them in which the rate rises.
        power: 1: a straight line.
        min_factor: Share of the rate that is left at the end.
    """
    if not power > 0:
        raise ValueError(f"power must be above 0, found {power}")
    return _warmed(
        length, warmup, lambda progress: min_factor + (1 - min_factor) * float((1 - progress) ** power)
    )


def step(length: int, *, drops: int = 2, gamma: float = 0.1) -> Factor:
    """Return a power of ``gamma`` that grows by one at each of some equally distant drops.

    Args:
        length: Steps of the schedule.
        drops: Number of drops.
        gamma: Factor of a drop.
    """
    if drops < 1:
        raise ValueError(f"drops must be at least 1, found {drops}")
    size = max(1, -(-length // (drops + 1)))
    return lambda step: float(gamma ** (step // size))


def _warmed(length: int, warmup: float, after: Callable[[float], float]) -> Factor:
    """Rise linearly, then follow a function of the share of the remaining steps that is over."""
    if not isinstance(warmup, int | float) or not 0 <= warmup < 1:
        raise ValueError(f"warmup is a share of the fit in [0, 1), found {warmup!r}")
    rising = int(warmup * length)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / (rising + 1)
        return after(min(1.0, (step - rising) / max(1, length - rising)))

    return factor
