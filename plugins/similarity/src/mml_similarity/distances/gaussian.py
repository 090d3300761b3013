"""Gaussians fitted to features, and distances between them in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, svdvals

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Gaussian:
    """Mean and covariance of features.

    Attributes:
        mean: (D,).
        root: (R, D) with R at most D: the covariance is its transpose times itself, however singular that is.
    """

    mean: Array
    root: Array

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> Gaussian:
        """Fit one to features (N, D), N at least 2; the covariance is the unbiased one."""
        rows = np.asarray(values, dtype=np.float64)
        mean = rows.mean(axis=0)
        centred = (rows - mean) / math.sqrt(len(rows) - 1)
        root: Array = np.asarray(np.linalg.qr(centred, mode="r"))
        return cls(mean=mean, root=root)

    @property
    def covariance(self) -> Array:
        """The covariance (D, D)."""
        covariance: Array = self.root.T @ self.root
        return covariance


def frechet(a: Gaussian, b: Gaussian) -> float:
    """Return the squared Fréchet distance, also known as FID.

    That is ``|mean_a - mean_b|² + tr(C_a + C_b - 2 (C_a C_b)^½)``. With ``C = Rᵀ R`` the trace of the root is
    the sum of the singular values of ``R_a R_bᵀ``, which needs no root of a matrix and stays exact where
    covariances are singular, as those of fewer samples than features.

    Dowson & Landau, "The Fréchet distance between multivariate normal distributions", 1982; Heusel et al.,
    "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", NeurIPS 2017.
    """
    spread = (a.root**2).sum() + (b.root**2).sum()
    common = svdvals(a.root @ b.root.T, overwrite_a=True, check_finite=False).sum()
    return max(float(((a.mean - b.mean) ** 2).sum() + spread - 2 * common), 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class RegularGaussian:
    """A Gaussian whose covariance was shrunk until it could be inverted.

    Attributes:
        mean: (D,).
        covariance: (D, D).
        precision: The inverse of the covariance, (D, D).
        log_determinant: Of the covariance.
    """

    mean: Array
    covariance: Array
    precision: Array
    log_determinant: float

    @classmethod
    def of(cls, values: NDArray[np.floating], *, shrinkage: float) -> RegularGaussian:
        """Fit one to features (N, D).

        The covariance is ``(1 - shrinkage) C + shrinkage tr(C)/D I`` (Ledoit & Wolf, "A well-conditioned
        estimator for large-dimensional covariance matrices", 2004, with a given intensity). Of samples that
        are all equal it is the identity times the smallest normal float's root.

        Args:
            values: The features.
            shrinkage: Above 0, at most 1.
        """
        found = Gaussian.of(values)
        covariance = found.covariance
        width = len(covariance)
        scale = float(np.trace(covariance)) / width or math.sqrt(np.finfo(np.float64).tiny)
        covariance = (1 - shrinkage) * covariance + shrinkage * scale * np.eye(width)
        factor = cho_factor(covariance, lower=True)
        log_determinant = 2 * float(np.log(np.diag(factor[0])).sum())
        precision = cho_solve(factor, np.eye(width))
        return cls(
            mean=found.mean, covariance=covariance, precision=precision, log_determinant=log_determinant
        )


def kl_divergence(a: RegularGaussian, b: RegularGaussian) -> float:
    """Return the Kullback-Leibler divergence KL(a‖b), in nats; it is not symmetric.

    That is ``½ (tr(C_b⁻¹ C_a) + (m_b - m_a)ᵀ C_b⁻¹ (m_b - m_a) - D + ln det C_b - ln det C_a)``: Kullback,
    "Information theory and statistics", 1959, chapter 9.
    """
    difference = b.mean - a.mean
    trace = float((b.precision * a.covariance).sum())
    distance = float(difference @ b.precision @ difference)
    value = trace + distance - len(a.mean) + b.log_determinant - a.log_determinant
    return max(value / 2, 0.0)
