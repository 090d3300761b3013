"""Where tasks lie beside each other: the order and tree of a dendrogram, and places on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

Array = NDArray[np.float64]


def tree_of(undirected: Array) -> dict[str, Any]:
    """Return the tree of average linkage, as ``scipy.cluster.hierarchy.dendrogram`` gives its coordinates.

    Sokal & Michener, "A statistical method for evaluating systematic relationships", 1958.

    Args:
        undirected: Symmetric distances with a diagonal of 0, (T, T) with T at least 2.
    """
    tree: dict[str, Any] = dendrogram(
        linkage(squareform(undirected, checks=False), method="average"), no_plot=True
    )
    return tree


def places_of(undirected: Array) -> Array:
    """Return places (T, 2) whose distances are about those given: classical multidimensional scaling.

    Each axis points so that the place farthest out on it is positive. Torgerson, "Multidimensional scaling:
    I. Theory and method", Psychometrika, 1952.

    Args:
        undirected: Symmetric distances with a diagonal of 0, (T, T).
    """
    count = len(undirected)
    centring = np.eye(count) - 1 / count
    products = -centring @ undirected**2 @ centring / 2
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    places = np.zeros((count, 2))
    for axis in range(min(2, count)):
        column = vectors[:, -1 - axis] * np.sqrt(max(values[-1 - axis], 0))
        farthest = np.argmax(np.round(np.abs(column), 12))
        places[:, axis] = column * (np.sign(column[farthest]) or 1)
    return places
