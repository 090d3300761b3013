"""Estimates of one task: by each estimator, at each density."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.api import MMLError
from mml_dimensionality.neighbours import neighbour_distances, without_duplicates
from mml_dimensionality.options import Options


class TooFewSamplesError(MMLError):
    """A task has too few different samples for its dimension to be estimated."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One estimate of the intrinsic dimension of one task.

    Attributes:
        task: Name of the task.
        estimator: ``mle`` or ``two_nn``.
        scale: Into how many parts the samples were divided.
        samples: Samples of a part, fewer by one in some.
        duplicates: Samples of the task that equal an earlier one, and were left out.
        width: Numbers that a sample is given by.
        dimension: Mean of the estimates over the parts; None where it is infinite, as all neighbours are
            equally far.
        spread: Standard deviation over the parts (n - 1); None of a single one.
    """

    task: str
    estimator: str
    scale: int
    samples: int
    duplicates: int
    width: int
    dimension: float | None
    spread: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def require_samples(task: str, found: int, options: Options, *, of: str = "samples") -> None:
    """Refuse a task with too few samples.

    Raises:
        TooFewSamplesError: Says how many are needed.
    """
    if found < options.least:
        raise TooFewSamplesError(
            f"Task '{task}' has {found} {of}, and {options.least} are needed for {options.neighbours}"
            f" neighbours at scale {max(options.scales)}; lower mode.mle.last or mode.scales, or leave the"
            " task out."
        )


def estimate(task: str, values: NDArray[Any], options: Options, seed: int) -> list[Estimate]:
    """Estimate the intrinsic dimension of the samples of a task.

    Args:
        task: Name of the task.
        values: (N, D), a sample in each row.
        options: By what, and at which densities.
        seed: What the parts are drawn by.

    Returns:
        One for each estimator and scale.

    Raises:
        TooFewSamplesError: There are too few different samples.
    """
    points = without_duplicates(values)
    require_samples(task, len(points), options, of="different samples")
    found = []
    for scale in options.scales:
        of_parts = [neighbour_distances(part, options.neighbours) for part in _parts(points, scale, seed)]
        for name, estimator in options.estimators_of().items():
            dimensions = np.array([estimator(distances) for distances in of_parts])
            mean = float(dimensions.mean())
            finite = math.isfinite(mean)
            found.append(
                Estimate(
                    task=task,
                    estimator=name,
                    scale=scale,
                    samples=max(map(len, of_parts)),
                    duplicates=len(values) - len(points),
                    width=points.shape[1],
                    dimension=mean if finite else None,
                    spread=float(dimensions.std(ddof=1)) if finite and scale > 1 else None,
                )
            )
    return found


def _parts(points: NDArray[Any], scale: int, seed: int) -> Iterator[NDArray[Any]]:
    """Divide points at random; each scale has an order of its own, whatever other scales there are."""
    order = np.random.default_rng([seed, scale]).permutation(len(points)) if scale > 1 else None
    for part in range(scale):
        yield points if order is None else points[np.sort(order[part::scale])]
