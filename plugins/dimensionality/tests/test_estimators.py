"""The estimators: against their definitions, and on manifolds whose dimension is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mml_dimensionality.mle import mle
from mml_dimensionality.neighbours import neighbour_distances, without_duplicates
from mml_dimensionality.two_nn import two_nn
from scipy.spatial import cKDTree

SAMPLES = 2000
WIDTH = 64


def embedded(points: np.ndarray) -> np.ndarray:
    """Turn points into those of a space of many dimensions, distances kept."""
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, points.shape[1])))[0]
    return points @ basis.T + 3


def sphere(dimension: int, samples: int = SAMPLES) -> np.ndarray:
    points = np.random.default_rng(2).standard_normal((samples, dimension + 1))
    return embedded(points / np.linalg.norm(points, axis=1, keepdims=True))


def gaussian(dimension: int, samples: int = SAMPLES) -> np.ndarray:
    return embedded(np.random.default_rng(3).standard_normal((samples, dimension)))


def torus(dimension: int) -> np.ndarray:
    angles = 2 * np.pi * np.random.default_rng(4).random((SAMPLES, dimension))
    return embedded(np.concatenate([np.cos(angles), np.sin(angles)], axis=1))


def swiss_roll(dimension: int) -> np.ndarray:
    first, second = np.random.default_rng(5).random((dimension, SAMPLES))
    angle = 1.5 * np.pi * (1 + 2 * first)
    return embedded(np.stack([angle * np.cos(angle), 21 * second, angle * np.sin(angle)], axis=1))


MANIFOLDS = [
    *((shape, dimension) for shape in (sphere, gaussian) for dimension in (1, 2, 3, 5, 6)),
    *((torus, dimension) for dimension in (1, 2, 4)),
    (swiss_roll, 2),
]


@pytest.mark.parametrize(("shape", "dimension"), MANIFOLDS)
def test_known_dimensions_are_found_within_a_tenth(shape, dimension):
    distances = neighbour_distances(shape(dimension), 20)
    assert mle(distances, 10, 20) == pytest.approx(dimension, rel=0.1)
    assert two_nn(distances, 0.1) == pytest.approx(dimension, rel=0.1)


@pytest.mark.parametrize("shape", [sphere, gaussian])
def test_ten_dimensions_are_found_within_a_tenth_from_more_samples(shape):
    distances = neighbour_distances(shape(10, 5000), 20)
    assert mle(distances, 10, 20) == pytest.approx(10, rel=0.1)
    assert two_nn(distances, 0.1) == pytest.approx(10, rel=0.1)


def test_the_likelihood_is_that_of_the_papers():
    distances = neighbour_distances(gaussian(3)[:40], 6)
    of_each_k = []
    for k in (4, 5, 6):
        inverses = [
            sum(math.log(row[k - 1] / row[j]) for j in range(k - 1)) / (k - 1) for row in distances.tolist()
        ]
        of_each_k.append(1 / (sum(inverses) / len(inverses)))
    assert mle(distances, 4, 6) == pytest.approx(sum(of_each_k) / 3, abs=1e-12)


def test_two_neighbours_give_the_slope_of_the_fit():
    distances = neighbour_distances(gaussian(3)[:50], 2)
    ratios = sorted(second / first for first, second in distances.tolist())[:40]
    across = np.log(ratios)
    up = [-math.log(1 - (number + 1) / 50) for number in range(40)]
    expected = np.linalg.lstsq(across[:, None], np.array(up), rcond=None)[0][0]
    assert two_nn(distances, 0.2) == pytest.approx(expected, abs=1e-12)


def test_without_anything_left_out_the_farthest_sample_has_no_logarithm_and_stays_out():
    assert math.isfinite(two_nn(neighbour_distances(gaussian(2)[:30], 2), 0.0))


@pytest.mark.parametrize("width", [1, 3, 64])
def test_neighbours_are_those_of_a_search_tree(width):
    points = np.random.default_rng(6).standard_normal((300, width)) * 100 + 5000
    expected = cKDTree(points).query(points, 8)[0][:, 1:]
    np.testing.assert_allclose(neighbour_distances(points, 7), expected, rtol=1e-12)


def test_distances_are_exact_where_samples_almost_coincide():
    points = np.random.default_rng(7).standard_normal((100, 8)) + 1e4
    close = points + 1e-7 * np.random.default_rng(8).standard_normal(points.shape)
    both = np.concatenate([points, close])
    expected = np.linalg.norm(points - close, axis=1)
    np.testing.assert_allclose(neighbour_distances(both, 1)[:100, 0], expected, rtol=1e-4)


def test_neighbours_may_be_all_other_samples():
    points = np.arange(4.0)[:, None]
    assert neighbour_distances(points, 3)[0].tolist() == [1, 2, 3]


def test_equal_samples_count_once():
    points = np.array([[2.0, 0.0], [1.0, 1.0], [2.0, -0.0], [1.0, 1.0], [0.0, 0.0]])
    assert without_duplicates(points).tolist() == [[2, 0], [1, 1], [0, 0]]


def test_samples_that_are_equally_far_have_no_finite_dimension():
    distances = neighbour_distances(np.eye(12), 5)
    assert math.isinf(mle(np.ones_like(distances), 3, 5))
    assert math.isinf(two_nn(np.ones_like(distances), 0.1))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_unit_of_features_does_not_matter(scale):
    points = gaussian(3)[:300]
    one, other = (neighbour_distances(each, 20) for each in (points, points * scale))
    assert mle(other, 10, 20) == pytest.approx(mle(one, 10, 20), rel=1e-9)
    assert two_nn(other, 0.1) == pytest.approx(two_nn(one, 0.1), rel=1e-9)
