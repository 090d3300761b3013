"""Linear heads on the features of a frozen backbone, as a task's Fisher information needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from mml_core.api import Features, MMLError
from mml_similarity.distances.fisher import fit_probe, fit_values

Array = NDArray[np.float64]
SOFTMAX, BERNOULLI, GAUSSIAN = "softmax", "bernoulli", "gaussian"
LIKELIHOODS = {"classification": SOFTMAX, "multilabel": BERNOULLI, "regression": GAUSSIAN}
"""Type of task → the distribution of targets that its head predicts."""


class HeadError(MMLError):
    """A task has no targets that a head could learn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearHead:
    """What turns features into a distribution of targets.

    Attributes:
        likelihood: ``softmax``, ``bernoulli`` (each output by itself) or ``gaussian``.
        weights: (D, K).
        constant: (K,).
        variance: Of the noise of each output where the likelihood is Gaussian, (K,).
    """

    likelihood: str
    weights: Array
    constant: Array
    variance: Array | None = None

    def exact_roots(self, outputs: Array) -> Array:
        """Return a root of the Fisher information of outputs, (K, K): R with RᵀR = E[∇ log p ∇ log pᵀ].

        The expectation is that over the labels which the head itself predicts: an information about anything
        the outputs depend on is the sum of squared gradients along the rows.

        Args:
            outputs: Of one sample, before the softmax or the sigmoid, (K,).
        """
        if self.likelihood == SOFTMAX:
            chances = softmax(outputs)
            roots: Array = np.sqrt(chances)[:, None] * (np.eye(len(chances)) - chances)
            return roots
        if self.likelihood == BERNOULLI:
            return np.diag(np.sqrt(expit(outputs) * expit(-outputs)))
        assert self.variance is not None
        return np.diag(1 / np.sqrt(self.variance))

    def drawn_roots(self, outputs: Array, draws: int, random: np.random.Generator) -> Array:
        """Return an unbiased estimate of the same from labels that the head predicts, (draws, K).

        Args:
            outputs: As of `exact_roots`.
            draws: Number of labels.
            random: What they are drawn by.
        """
        width = len(outputs)
        if self.likelihood == SOFTMAX:
            chances = softmax(outputs)
            gradients = np.eye(width)[random.choice(width, size=draws, p=chances)] - chances
        elif self.likelihood == BERNOULLI:
            chances = expit(outputs)
            gradients = (random.random((draws, width)) < chances) - chances
        else:
            assert self.variance is not None
            gradients = random.standard_normal((draws, width)) / np.sqrt(self.variance)
        roots: Array = gradients / np.sqrt(draws)
        return roots


def fit_head(task: Features, *, l2: float) -> LinearHead:
    """Fit a head to all samples of a task that have a target, on features standardised for the task.

    Soft labels count as 1 above 0.5. Values of a regression are standardised, so that their unit does not
    count; the variance of the noise is that of what the head leaves. Outputs without any target are left out.

    Args:
        task: Features and targets.
        l2: Weight decay, on the scale of standardised features; above 0.

    Raises:
        HeadError: No sample has a target.
    """
    values = task.values.astype(np.float64)
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1
    rows = (values - centre) / scale
    targets: NDArray[Any] | None = task.targets
    fitted, variances = [], []
    if targets is not None and task.task_type == "classification":
        known = targets >= 0
        if known.any():
            fitted = list(fit_probe(rows[known], targets[known], len(task.classes), l2=l2).T)
    elif targets is not None:
        for column in targets.T:
            known = np.isfinite(column)
            if known.any() and task.task_type == "multilabel":
                off, on = fit_probe(rows[known], (column[known] > 0.5).astype(np.int64), 2, l2=l2).T
                fitted.append(on - off)
            elif known.any():
                weights, left = fit_values(rows[known], column[known].astype(np.float64), l2=l2)
                fitted.append(weights)
                variances.append(left)
    if not fitted:
        raise HeadError(
            f"No sample of task '{task.task}' has a target; set mode.split=train, or leave out the"
            " distance fisher."
        )
    found = np.column_stack(fitted)
    weights = found[:-1] / scale[:, None]
    return LinearHead(
        likelihood=LIKELIHOODS[task.task_type],
        weights=weights,
        constant=found[-1] - centre @ weights,
        variance=np.array(variances) if variances else None,
    )
