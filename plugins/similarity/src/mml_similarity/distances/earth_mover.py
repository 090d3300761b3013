"""Earth mover's distance, exactly: between sets of samples, and between prototypes of classes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

_SMOOTHING = 0.1
"""Entropy of the problem that prices come from, as a share of the standard deviation of the costs."""
_ROUNDS = 10
"""Iterations by which these prices are found."""


def earth_movers(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    x_weights: Array | None = None,
    y_weights: Array | None = None,
) -> float:
    """Return the least mean Euclidean distance by which the samples ``x`` can be moved onto ``y``.

    Sets of equal size and weight are assigned one to one, in time that grows with the cube of their size and
    memory with its square; all others are a linear program. Both are exact. Rubner, Tomasi & Guibas, "The
    earth mover's distance as a metric for image retrieval", IJCV 2000.

    Args:
        x: Points (N, D).
        y: Points (M, D).
        x_weights: Of each point (N,), not negative; they are scaled to sum to 1. None for equal ones.
        y_weights: The same for ``y``.
    """
    here, there = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x_weights is None and y_weights is None and len(x) == len(y):
        rows, columns = linear_sum_assignment(_reduced(_quick_distances(here, there)))
        return float(np.linalg.norm(here[rows] - there[columns], axis=1).mean())
    costs = cdist(here, there)
    supply, demand = _shares(x_weights, len(x)), _shares(y_weights, len(y))
    return _transported(costs, supply, demand)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prototypes:
    """Classes of a task, each by the mean of its features.

    Attributes:
        points: (K, D).
        weights: Share of the samples in each class, (K,).
    """

    points: Array
    weights: Array

    @classmethod
    def of(cls, values: NDArray[np.floating], classes: Sequence[Hashable]) -> Prototypes:
        """Average features (N, D) by the class of each sample."""
        names = sorted(set(classes), key=str)
        number = {name: position for position, name in enumerate(names)}
        index = np.array([number[name] for name in classes])
        counts = np.bincount(index, minlength=len(names)).astype(np.float64)
        sums = np.zeros((len(names), values.shape[1]))
        np.add.at(sums, index, np.asarray(values, dtype=np.float64))
        return cls(points=sums / counts[:, None], weights=counts / counts.sum())


def prototype_distance(a: Prototypes, b: Prototypes) -> float:
    """Return the earth mover's distance between the class prototypes of two tasks.

    Cui et al., "Large scale fine-grained categorization and domain-specific transfer learning", CVPR 2018;
    their similarity is ``exp(-0.01 d)`` of this ``d``.
    """
    return earth_movers(a.points, b.points, a.weights, b.weights)


def _quick_distances(x: Array, y: Array) -> Array:
    """Return all distances by ``|x|² + |y|² - 2xy``: quicker by far, exact enough to choose by."""
    centre = (x.mean(axis=0) + y.mean(axis=0)) / 2
    x, y = x - centre, y - centre
    squares: Array = x @ y.T
    squares *= -2
    squares += np.einsum("ij,ij->i", x, x)[:, None]
    squares += np.einsum("ij,ij->i", y, y)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def _reduced(costs: Array) -> Array:
    """Subtract a number from each row and each column so that those who go together cost almost nothing.

    That changes no choice, since all assignments get cheaper by the same, but leaves few candidates: the
    solver takes a tenth of the time. The numbers are potentials of the entropic problem, found by Sinkhorn's
    iteration (Cuturi, "Sinkhorn distances: lightspeed computation of optimal transport", NeurIPS 2013) in
    single precision. How good they are matters for the time alone.

    Args:
        costs: (N, N).
    """
    reduced = _without_minima(costs)
    scale = _SMOOTHING * float(reduced.std())
    if not scale > 0:
        return reduced
    # 1 somewhere in each row and each column
    nearness = np.exp(np.asarray(reduced / -scale, dtype=np.float32))
    of_rows = np.ones(len(costs), np.float32)
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            of_columns = 1 / (of_rows @ nearness)
            of_rows = 1 / (nearness @ of_columns)
        prices = scale * np.log(of_rows).astype(np.float64)
    return _without_minima(reduced - prices[:, None]) if np.isfinite(prices).all() else reduced


def _without_minima(costs: Array) -> Array:
    """Subtract the least of each row, then that of each column."""
    reduced: Array = costs - costs.min(axis=1, keepdims=True)
    reduced -= reduced.min(axis=0)
    return reduced


def _shares(weights: Array | None, count: int) -> Array:
    if weights is None:
        return np.full(count, 1 / count)
    given = np.asarray(weights, dtype=np.float64)
    shares: Array = given / given.sum()
    return shares


def _transported(costs: Array, supply: Array, demand: Array) -> float:
    """Solve the transport of ``supply`` to ``demand``, without the constraint that the others imply."""
    unit = float(costs.max())
    if not unit > 0:
        return 0.0
    costs = costs / unit  # the solver's tolerances are absolute
    rows, columns = costs.shape
    cells = np.arange(rows * columns)
    constraint = np.concatenate([cells // columns, rows + cells % columns])
    matrix = coo_array((np.ones(2 * len(cells)), (constraint, np.tile(cells, 2)))).tocsr()[:-1]
    right = np.concatenate([supply, demand])[:-1]
    solved = linprog(costs.ravel(), A_eq=matrix, b_eq=right, bounds=(0, None), method="highs")
    if solved.status != 0:
        raise ArithmeticError(f"The transport was not solved: {solved.message}")
    return max(float(solved.fun) * unit, 0.0)
