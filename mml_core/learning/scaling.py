"""Maps of logits that are fitted by maximum likelihood: temperature, affine, vector and matrix scaling.

All are ``logits @ weight.T + bias`` with fewer or more free numbers, so one objective serves them all. It is
convex; L-BFGS in float64 finds its optimum, and whether it did is checked by the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mml_core.errors import MMLError
from mml_core.learning.outputs import MULTILABEL
from mml_core.learning.probabilities import probabilities
from mml_core.learning.statistics import Array

TEMPERATURE, AFFINE, VECTOR, MATRIX = "temperature", "affine", "vector", "matrix"
SCALINGS = (TEMPERATURE, AFFINE, VECTOR, MATRIX)
COLDEST, HOTTEST = 0.05, 100.0
"""Bounds of a temperature: where all samples are right, colder is always likelier."""
LARGEST_LOGIT = 1e4
RESTARTS = 5
FLAT = 1e-6
"""Largest derivative of the mean loss at what counts as its optimum, by the logits in units of their size."""


class CalibrationError(MMLError):
    """Predictions cannot be calibrated as asked."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A fitted map of logits.

    Attributes:
        weight: One factor, () ; one for each class, (classes,); or a matrix (classes, classes).
        bias: (classes,).
        loss: Mean negative log-likelihood on the samples it was fitted on.
        at_bound: Whether a temperature lies at its bound, as the likelihood has no optimum within.
    """

    weight: Array
    bias: Array
    loss: float
    at_bound: bool = False


Loss = Callable[[Array], tuple[float, Array]]
"""Logits (samples, classes) → mean loss, and its derivatives by each logit."""


def fit_classes(method: str, logits: Array, targets: Array, *, l2: float) -> Scaling:
    """Fit a map of logits by the likelihood of classes.

    Args:
        method: ``temperature`` (one factor; Guo et al., 2017), ``affine`` (one factor, and a bias for each
            class; for two classes Platt, 1999), ``vector`` (a factor and a bias for each class) or ``matrix``
            (any linear map, and a bias; both Guo et al., 2017).
        logits: (samples, classes), float64.
        targets: Class numbers (samples,).
        l2: How strongly parameters are held to the identity: precision of a Gaussian prior on what differs
            from it. A temperature has none.

    Raises:
        CalibrationError: There is no optimum, or it was not found.
    """
    count, classes = logits.shape
    absent = np.flatnonzero(np.bincount(targets, minlength=classes) == 0)
    if l2 == 0 and method != TEMPERATURE and len(absent):
        raise CalibrationError(
            f"Class {absent[0]} has no validation sample, so that the likelihood of {method} scaling has no"
            " optimum; set mode.calibration.l2 above 0, or choose mode.calibration.method=temperature."
        )
    rows = np.arange(count)

    def loss(scaled: Array) -> tuple[float, Array]:
        top = scaled.max(axis=1, keepdims=True)
        shares = np.exp(scaled - top)
        total = shares.sum(axis=1, keepdims=True)
        value = (np.log(total[:, 0]) + top[:, 0] - scaled[rows, targets]).mean()
        slope = shares / total
        slope[rows, targets] -= 1
        return float(value), slope / count

    return _fit(method, logits, loss, l2=l2)


def fit_label(method: str, logits: Array, shares: Array, *, l2: float) -> Scaling:
    """Fit a factor, and but for a temperature a bias, by the likelihood of one label (Platt, 1999).

    Args:
        method: See :func:`fit_classes`; affine and vector scaling of one label are the same.
        logits: (samples,).
        shares: To what share the label is there, (samples,), from 0 to 1.
        l2: See :func:`fit_classes`.

    Raises:
        CalibrationError: There is no optimum, or it was not found.
    """
    wanted = shares[:, None]
    if l2 == 0 and method != TEMPERATURE and (shares.max() == 0 or shares.min() == 1):
        raise CalibrationError(
            f"A label is the same in all validation samples, so that the likelihood of {method} scaling has"
            " no optimum; set mode.calibration.l2 above 0, or choose mode.calibration.method=temperature."
        )

    def loss(scaled: Array) -> tuple[float, Array]:
        value = (np.logaddexp(0.0, scaled) - wanted * scaled).mean()
        return float(value), (probabilities(MULTILABEL, scaled) - wanted) / len(scaled)

    return _fit(VECTOR if method == AFFINE else method, logits[:, None], loss, l2=l2)


def _fit(method: str, logits: Array, loss: Loss, *, l2: float) -> Scaling:
    from scipy.optimize import minimize

    logits = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    count, classes = logits.shape
    strength = 0.0 if method == TEMPERATURE else l2 / count
    # In these units all parameters are about alike steep, by the likelihood and the prior together.
    unit = math.sqrt(float((logits**2).mean()) + strength) or 1.0
    shares = logits / unit
    factors = {TEMPERATURE: 1, AFFINE: 1, VECTOR: classes, MATRIX: classes**2}[method]
    biases = 0 if method == TEMPERATURE else classes
    identity = np.concatenate([_identity(method, classes), np.zeros(biases)])
    scale = np.concatenate([np.full(factors, unit), np.full(biases, math.sqrt(1 + strength))])

    def objective(point: Array) -> tuple[float, Array]:
        factor, bias = point[:factors], point[factors:] / scale[factors:]
        weight = factor.reshape(classes, classes) if method == MATRIX else factor
        scaled = scaled_logits(shares, weight, bias if biases else np.zeros(classes))
        value, slope = loss(scaled)
        if method == MATRIX:
            by_factor = (slope.T @ shares).ravel()
        else:
            by_class = (slope * shares).sum(axis=0)
            by_factor = by_class if method == VECTOR else by_class.sum(keepdims=True)
        away = point / scale - identity
        by_bias = slope.sum(axis=0)[:biases] / scale[factors:]
        gradient = np.concatenate([by_factor, by_bias]) + strength * away / scale
        return value + strength / 2 * float(away @ away), gradient

    bounds = [(unit / HOTTEST, unit / COLDEST)] if method == TEMPERATURE else None
    point = identity * scale
    for _ in range(RESTARTS):  # with a fresh picture of the curvature, where rounding has ended the search
        found = minimize(
            objective,
            point,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 10_000, "maxfun": 50_000, "ftol": 0.0, "gtol": FLAT / 1e4, "maxcor": 30},
        )
        point = found.x
        _, gradient = objective(point)
        at_bound = bounds is not None and bool(np.isclose(point[0], bounds[0], rtol=1e-9).any())
        if at_bound or np.abs(gradient).max() <= FLAT:
            break
    if not np.isfinite(point).all() or (not at_bound and np.abs(gradient).max() > FLAT):
        raise CalibrationError(
            f"The likelihood of {method} scaling on {count} validation samples has no optimum that could be"
            f" found (derivative {np.abs(gradient).max():.1e}); raise mode.calibration.l2 above {l2:g}, or"
            " choose mode.calibration.method=temperature."
        )
    weight, bias = point[:factors] / unit, point[factors:] / scale[factors:]
    bias = bias if biases else np.zeros(classes)
    if method == MATRIX:
        weight = weight.reshape(classes, classes)
    elif method != VECTOR:
        weight = weight[0]
    value, _ = loss(scaled_logits(logits, weight, bias))
    return Scaling(weight=weight, bias=bias, loss=value, at_bound=at_bound)


def scaled_logits(logits: Array, weight: Array, bias: Array) -> Array:
    """Return logits (samples, classes) under a map; see :class:`Scaling`."""
    scaled: Array = logits @ weight.T if weight.ndim == 2 else logits * weight
    return scaled + bias


def _identity(method: str, classes: int) -> Array:
    if method == MATRIX:
        return np.eye(classes).ravel()
    return np.ones(classes if method == VECTOR else 1)
