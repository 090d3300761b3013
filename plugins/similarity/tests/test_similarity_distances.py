"""Each distance equals its closed form, or what another library computes, to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
from mml_similarity.distances.combined import combine
from mml_similarity.distances.earth_mover import Prototypes, earth_movers, prototype_distance
from mml_similarity.distances.fisher import fisher_distance, fisher_of_probe, fisher_of_values, fit_probe
from mml_similarity.distances.gaussian import Gaussian, RegularGaussian, frechet, kl_divergence
from mml_similarity.distances.mmd import Embedded, gaussian, median_distance, polynomial, squared_mmd
from mml_similarity.distances.semantic import jaccard_distance, words_of
from scipy.linalg import sqrtm
from scipy.special import softmax

TOLERANCE = 1e-6


@pytest.fixture
def draw():
    """Draw features (count, width) by a number."""

    def drawn(number, count=60, width=8, shift=0.0, scale=1.0):
        return np.random.default_rng(number).normal(shift, scale, (count, width)).astype(np.float32)

    return drawn


def normal(means, deviations):
    return Gaussian(mean=np.array(means, float), root=np.diag(np.array(deviations, float)))


# -- Fréchet


def test_frechet_of_axis_parallel_gaussians_is_the_sum_of_squared_differences():
    distance = frechet(normal([1, 2], [3, 4]), normal([2, 4], [1, 7]))
    assert distance == pytest.approx((1 + 4) + (4 + 9), abs=TOLERANCE)


def test_frechet_equals_the_formula_with_the_root_of_a_matrix(draw):
    x, y = draw(1), draw(2, shift=0.5, scale=2)
    a, b = np.cov(x, rowvar=False, dtype=np.float64), np.cov(y, rowvar=False, dtype=np.float64)
    difference = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    expected = difference @ difference + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet(Gaussian.of(x), Gaussian.of(y)) == pytest.approx(expected, abs=TOLERANCE)


def test_frechet_is_exact_where_covariances_are_singular(draw):
    x = draw(1, count=5, width=40)
    assert frechet(Gaussian.of(x), Gaussian.of(x)) == pytest.approx(0, abs=1e-9)
    shifted = Gaussian.of(x.astype(np.float64) + 0.5)
    assert frechet(Gaussian.of(x), shifted) == pytest.approx(40 * 0.25, abs=TOLERANCE)


def test_frechet_of_samples_that_are_all_equal_is_the_distance_of_their_means():
    x, y = np.zeros((4, 3), np.float32), np.ones((4, 3), np.float32)
    assert frechet(Gaussian.of(x), Gaussian.of(y)) == pytest.approx(3, abs=TOLERANCE)


# -- Kullback-Leibler


def test_kl_equals_the_closed_form_in_one_dimension():
    x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [5.0]])  # variances 2 and 8, means 1 and 3
    found = kl_divergence(RegularGaussian.of(x, shrinkage=0.1), RegularGaussian.of(y, shrinkage=0.1))
    assert found == pytest.approx(np.log(2) + (2 + 4) / (2 * 8) - 0.5, abs=TOLERANCE)


def test_kl_equals_the_mean_of_log_ratios_that_scipy_computes(draw):
    from scipy.stats import multivariate_normal

    a = RegularGaussian.of(draw(1, width=3), shrinkage=0.2)
    b = RegularGaussian.of(draw(2, width=3, shift=1), shrinkage=0.2)
    points, weights = np.polynomial.hermite_e.hermegauss(3)  # exact: log ratios are quadratic
    grid = np.stack(np.meshgrid(points, points, points), -1).reshape(-1, 3)
    weight = np.prod(np.stack(np.meshgrid(weights, weights, weights), -1).reshape(-1, 3), axis=1)
    samples = a.mean + grid @ np.linalg.cholesky(a.covariance).T
    logs = [multivariate_normal(each.mean, each.covariance).logpdf(samples) for each in (a, b)]
    expected = (weight * (logs[0] - logs[1])).sum() / weight.sum()
    assert kl_divergence(a, b) == pytest.approx(expected, abs=TOLERANCE)


def test_kl_is_directed_and_zero_to_itself(draw):
    a, b = (RegularGaussian.of(draw(n, scale=n), shrinkage=0.1) for n in (1, 2))
    assert kl_divergence(a, a) == pytest.approx(0, abs=TOLERANCE)
    assert abs(kl_divergence(a, b) - kl_divergence(b, a)) > 0.1


def test_kl_takes_fewer_samples_than_features(draw):
    a, b = (RegularGaussian.of(draw(n, count=5, width=30), shrinkage=0.1) for n in (1, 2))
    assert 0 < kl_divergence(a, b) < np.inf


# -- maximum mean discrepancy


@pytest.mark.parametrize(
    ("kernel", "value"),
    [
        (polynomial(), lambda x, y: (x @ y / len(x) + 1) ** 3),
        (polynomial(degree=2), lambda x, y: (x @ y / len(x) + 1) ** 2),
        (gaussian(1.5), lambda x, y: np.exp(-((x - y) ** 2).sum() / (2 * 1.5**2))),
    ],
    ids=["kid", "degree 2", "gaussian"],
)
def test_mmd_equals_the_sum_over_pairs(draw, kernel, value):
    x, y = draw(1, count=7).astype(np.float64), draw(2, count=5, shift=1).astype(np.float64)
    within = [
        np.mean([value(p, q) for i, p in enumerate(rows) for j, q in enumerate(rows) if i != j])
        for rows in (x, y)
    ]
    expected = sum(within) - 2 * np.mean([value(p, q) for p in x for q in y])
    found = squared_mmd(Embedded.of(x, kernel), Embedded.of(y, kernel), kernel)
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_mmd_of_one_distribution_is_zero_on_average(draw):
    kernel = gaussian(2.0)
    found = [
        squared_mmd(Embedded.of(draw(n), kernel), Embedded.of(draw(n + 100), kernel), kernel)
        for n in range(30)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


def test_the_median_heuristic_is_the_median_of_all_distances():
    assert median_distance([np.array([[0.0], [1.0]]), np.array([[10.0], [12.0]])]) == pytest.approx(9.5)
    assert median_distance([np.zeros((3, 2)), np.zeros((3, 2))]) == 1.0


# -- earth mover's


def test_earth_movers_of_a_line_is_the_difference_of_sorted_values():
    x, y = np.array([[3.0], [1.0], [2.0]]), np.array([[5.0], [0.0], [2.5]])
    assert earth_movers(x, y) == pytest.approx((1 + 0.5 + 2) / 3, abs=TOLERANCE)


def test_earth_movers_of_unequal_sets_equals_scipys_on_a_line(draw):
    from scipy.stats import wasserstein_distance

    x, y = draw(1, count=9, width=1), draw(2, count=14, width=1)
    weights = np.arange(1, 10) / 45
    assert earth_movers(x, y) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), abs=TOLERANCE)
    expected = wasserstein_distance(x[:, 0], y[:, 0], weights)
    assert earth_movers(x, y, weights) == pytest.approx(expected, abs=TOLERANCE)


CLOUDS = {
    "of equal sizes": lambda draw: (draw(1, count=150), draw(2, count=150)),
    "of unequal sizes": lambda draw: (draw(1, count=20), draw(2, count=13)),
    "far apart": lambda draw: (draw(1), draw(2, shift=1e4)),
    "with one sample far off": lambda draw: (np.vstack([draw(1), draw(3, count=1, scale=1e6)]), draw(2, 61)),
    "on a grid, with many ties": lambda draw: (draw(1).round(), draw(2).round()),
    "that coincide": lambda draw: (draw(1), draw(1)),
    "of equal samples": lambda draw: (np.zeros((9, 3)), np.ones((9, 3))),
    "of one sample": lambda draw: (draw(1, count=1), draw(2, count=1)),
}


@pytest.mark.parametrize("clouds", CLOUDS.values(), ids=CLOUDS)
def test_earth_movers_equals_pot(draw, clouds):
    import ot

    x, y = (each.astype(np.float64) for each in clouds(draw))
    # Of differences: POT's own distances lose digits where samples almost coincide.
    costs = np.linalg.norm(x[:, None] - y, axis=-1)
    expected = ot.emd2([], [], costs)
    assert earth_movers(x, y) == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


def test_earth_movers_of_a_set_to_itself_in_another_order_is_zero(draw):
    x = draw(50, 6) + 1000
    assert earth_movers(x, x[::-1]) == 0


def test_prototypes_are_the_means_of_classes_with_their_shares():
    rows = np.array([[0.0], [2.0], [10.0], [1.0]])
    found = Prototypes.of(rows, ["cat", "cat", "dog", "cat"])
    assert found.points.ravel().tolist() == [1, 10]
    assert found.weights.tolist() == [0.75, 0.25]


def test_prototype_distance_moves_the_shares_of_classes():
    a = Prototypes(points=np.array([[0.0], [4.0]]), weights=np.array([0.5, 0.5]))
    b = Prototypes(points=np.array([[0.0], [4.0]]), weights=np.array([0.75, 0.25]))
    assert prototype_distance(a, b) == pytest.approx(1, abs=TOLERANCE)
    assert prototype_distance(a, a) == pytest.approx(0, abs=TOLERANCE)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_unit_of_features_does_not_matter_to_earth_movers(draw, unit):
    x, y = draw(1, count=12).astype(np.float64), draw(2, count=12).astype(np.float64)
    weights = np.arange(1, 13) / 78
    for given in (None, weights):
        assert earth_movers(x * unit, y * unit, given) / unit == pytest.approx(earth_movers(x, y, given))


# -- Fisher embedding


def test_fisher_information_equals_expected_squared_gradients(draw):
    x = draw(1, count=6, width=3).astype(np.float64)
    weights = np.random.default_rng(3).normal(size=(4, 3))
    total = np.zeros(3)
    for row in x:
        chances = softmax(np.append(row, 1) @ weights)
        for label, chance in enumerate(chances):
            gradient = np.outer(row, np.eye(3)[label] - chances)
            total += chance * (gradient**2).mean(axis=1)
    assert fisher_of_probe(x, weights) == pytest.approx(total / len(x), abs=TOLERANCE)


def test_the_probe_is_the_optimum_that_scikit_learn_finds(draw):
    from sklearn import linear_model

    x = draw(1, count=40, width=3).astype(np.float64)
    labels = (x[:, 0] + 0.3 * draw(2, count=40, width=1)[:, 0] > 0).astype(np.int64) + (x[:, 1] > 1)
    found = fit_probe(x, labels, 3, l2=0.1)
    reference = linear_model.LogisticRegression(C=1 / (0.1 * len(x)), tol=1e-9, max_iter=5000).fit(x, labels)
    mine = softmax(np.column_stack([x, np.ones(len(x))]) @ found, axis=1)
    assert mine == pytest.approx(reference.predict_proba(x), abs=1e-4)


def test_fisher_information_of_values_grows_with_how_well_they_are_predicted(draw):
    x = draw(1, width=2).astype(np.float64)
    noise = draw(2, width=1)[:, 0]
    exact, noisy = (fisher_of_values(x, x[:, 0] + level * noise, l2=1e-6) for level in (0.1, 2))
    assert (exact > noisy).all()
    left = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), x[:, 0] + 2 * noise, rcond=None)[1][0]
    share = left / len(x) / (x[:, 0] + 2 * noise).var()
    assert noisy == pytest.approx((x**2).mean(axis=0) / share, rel=1e-4)


def test_fisher_distance_is_the_cosine_distance_of_shares():
    a, b = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    shares = np.array([0.5, 0.75]), np.array([0.5, 0.25])
    cosine = shares[0] @ shares[1] / np.linalg.norm(shares[0]) / np.linalg.norm(shares[1])
    assert fisher_distance(a, b) == pytest.approx(1 - cosine, abs=TOLERANCE)
    assert fisher_distance(a, a) == pytest.approx(0, abs=TOLERANCE)
    assert fisher_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1


# -- words, and ensembles


def test_a_task_without_information_has_nothing_in_common_with_another():
    nothing, some = np.zeros(3), np.array([0.0, 1, 2])
    assert fisher_distance(nothing, some) == fisher_distance(some, nothing) == 1
    assert fisher_distance(nothing, nothing) == 0


def test_the_semantic_distance_is_one_minus_the_share_of_common_words():
    a, b = words_of(["Grey", "digits_parity"]), words_of(["grey digits"])
    assert a == {"grey", "digits", "parity"}
    assert jaccard_distance(a, b) == pytest.approx(1 / 3)
    assert jaccard_distance(a, a) == 0


def test_an_ensemble_averages_places_among_the_pairs():
    first = np.array([[0.0, 1, 5], [1, 0, 9], [5, 9, 0]])
    second = np.array([[0.0, 30, 20], [30, 0, 10], [20, 10, 0]])
    by_ranks = combine([first, second], "ranks")
    assert by_ranks == pytest.approx(np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]))
    by_ranges = combine([first, second], "ranges")
    assert by_ranges == pytest.approx(np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]))
    assert combine([first], "ranges")[0, 2] == pytest.approx(0.5)
    assert not combine([np.zeros((2, 2))], "ranks").any()
