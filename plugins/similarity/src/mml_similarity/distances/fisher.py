"""Fisher information of linear probes on features, and the distance between Fisher embeddings."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

Array = NDArray[np.float64]


def fit_probe(features: Array, labels: NDArray[np.int64], classes: int, *, l2: float) -> Array:
    """Return the weights (D + 1, classes) of a softmax regression, that of the constant last.

    Args:
        features: (N, D), about standardised.
        labels: Class of each sample, (N,).
        classes: Number of classes.
        l2: Weight of half the squared norm of the weights, that of the constant aside, beside the mean
            negative log-likelihood; above 0.
    """
    rows = _with_constant(features)
    truth = np.eye(classes)[labels]
    decay = np.full((rows.shape[1], 1), l2)
    decay[-1] = 0

    def objective(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(rows.shape[1], classes)
        logits = rows @ weights
        loss = -(truth * log_softmax(logits, axis=1)).sum() / len(rows) + (decay * weights**2).sum() / 2
        gradient = rows.T @ (softmax(logits, axis=1) - truth) / len(rows) + decay * weights
        return float(loss), gradient.ravel()

    start = np.zeros(rows.shape[1] * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-6})
    weights: Array = found.x.reshape(rows.shape[1], classes)
    return weights


def fisher_of_probe(features: Array, weights: Array) -> Array:
    """Return the diagonal of the Fisher information of a softmax probe, averaged over classes, (D,).

    Of the weight of feature d and class c it is the mean of ``x_d² p_c (1 - p_c)`` over the samples: the
    expected squared gradient of the log-likelihood, for labels that are drawn from the probe itself.

    Args:
        features: (N, D).
        weights: (D + 1, classes) as of :func:`fit_probe`.
    """
    chances = softmax(_with_constant(features) @ weights, axis=1)
    spread = (chances * (1 - chances)).mean(axis=1)
    information: Array = (features**2).T @ spread / len(features)
    return information


def fisher_of_values(features: Array, values: Array, *, l2: float) -> Array:
    """Return the same for a linear probe with Gaussian noise, (D,).

    The information about the weight of feature d is the mean of ``x_d²``, divided by the variance of what the
    probe of `fit_values` leaves.

    Args:
        features: (N, D).
        values: What is to be predicted, (N,).
        l2: As in :func:`fit_probe`; above 0.
    """
    _, left = fit_values(features, values, l2=l2)
    information: Array = (features**2).mean(axis=0) / left
    return information


def fit_values(features: Array, values: Array, *, l2: float) -> tuple[Array, float]:
    """Return the weights of a ridge regression to standardised values, (D + 1,), and the variance it leaves.

    The weight of the constant is the last.

    Args:
        features: (N, D).
        values: What is to be predicted, (N,).
        l2: As in :func:`fit_probe`; above 0.
    """
    centre = features.mean(axis=0)
    centred = features - centre
    target = (values - values.mean()) / (values.std() or 1.0)
    width = features.shape[1]
    weights = np.linalg.solve(centred.T @ centred + l2 * len(centred) * np.eye(width), centred.T @ target)
    left = float(((target - centred @ weights) ** 2).mean())
    return np.append(weights, -centre @ weights), max(left, 1e-12)


def fisher_distance(a: Array, b: Array) -> float:
    """Return the cosine distance of two embeddings, each divided by their sum.

    Achille et al., "Task2Vec: task embedding for meta-learning", ICCV 2019, section 4: dividing makes
    features with little information count as those with much. Where one embedding is 0 throughout, as that of
    a task with a single class, and the other is not, they have nothing in common: the distance is 1.

    Args:
        a: Diagonal Fisher information, (D,), not negative.
        b: The same of another task.
    """
    total = a + b
    known = total > 0
    left, right = a[known] / total[known], b[known] / total[known]
    norms = math.sqrt(float(left @ left)) * math.sqrt(float(right @ right))
    if not norms:
        return float(left.any() or right.any())
    return max(1 - float(left @ right) / norms, 0.0)


def _with_constant(features: Array) -> Array:
    return np.column_stack([features, np.ones(len(features))])
