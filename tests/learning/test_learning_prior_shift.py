"""Prior shift: the correction is Bayes' rule, and the estimate finds the frequencies of the samples."""

import numpy as np
import pytest
import torch

from mml_core.learning.outputs import CLASSIFICATION, REGRESSION, TaskOutput
from mml_core.learning.predictions import Predictions
from mml_core.learning.prior_shift import (
    check_shiftable,
    checked_priors,
    correct,
    estimate_priors,
    frequencies,
    shift,
    shifted,
)
from mml_core.learning.probabilities import probabilities
from mml_core.learning.scaling import CalibrationError

EVEN = np.full(3, 1 / 3)
MEANS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])


def drawn(priors: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of three normal distributions, with their true posteriors under equal priors."""
    generator = np.random.default_rng(seed)
    classes = generator.choice(3, size=count, p=priors)
    points = MEANS[classes] + generator.normal(size=(count, 2))
    logits = -((points[:, None] - MEANS) ** 2).sum(axis=2) / 2
    return probabilities(CLASSIFICATION, logits), classes


def test_the_frequencies_of_unlabelled_samples_are_found() -> None:
    priors = np.array([0.7, 0.2, 0.1])
    posteriors, _ = drawn(priors, 20_000)
    found = estimate_priors(posteriors, EVEN)
    assert found.converged
    np.testing.assert_allclose(found.priors, priors, atol=0.02)


def test_the_estimate_is_a_maximum_of_the_likelihood() -> None:
    posteriors, _ = drawn(np.array([0.7, 0.2, 0.1]), 500)
    found = estimate_priors(posteriors, EVEN).priors

    def likelihood(priors: np.ndarray) -> float:
        return float(np.log((posteriors * priors / EVEN).sum(axis=1)).sum())

    generator = np.random.default_rng(0)
    for _ in range(20):
        near = np.abs(found + generator.normal(scale=0.01, size=3))
        assert likelihood(near / near.sum()) <= likelihood(found) + 1e-9


def test_samples_that_fit_the_priors_change_nothing() -> None:
    posteriors = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert estimate_priors(posteriors, np.array([0.5, 0.5])).priors == pytest.approx([0.5, 0.5])


def test_the_right_priors_raise_the_likelihood_of_the_truth() -> None:
    priors = np.array([0.7, 0.2, 0.1])
    posteriors, classes = drawn(priors, 2000)
    after = shifted(posteriors, EVEN, priors)
    rows = np.arange(len(classes))
    assert np.log(after[rows, classes]).mean() > np.log(posteriors[rows, classes]).mean()


def test_shifting_logits_shifts_their_probabilities() -> None:
    logits = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    predictions = Predictions(
        output=TaskOutput(task="t", task_type=CLASSIFICATION, width=3),
        fold=0,
        split="test",
        sample_ids=[str(row) for row in range(10)],
        outputs=torch.from_numpy(logits),
        targets=None,
    )
    target = np.array([0.5, 0.3, 0.2])
    found = probabilities(CLASSIFICATION, shift(predictions, EVEN, target).outputs.double().numpy())
    before = probabilities(CLASSIFICATION, logits.astype(np.float64))
    np.testing.assert_allclose(found, shifted(before, EVEN, target), atol=1e-6)


@pytest.mark.parametrize(
    "given", [[0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.4, 0.2], "even", [True, 0.5, 0.5], 3, None]
)
def test_what_are_no_priors_of_three_classes_is_refused(given: object) -> None:
    with pytest.raises(CalibrationError, match="each of the 3 classes"):
        checked_priors(given, 3, "mode.calibration.priors")


def test_frequencies_of_a_class_that_is_not_there_are_not_known() -> None:
    assert frequencies(np.array([0, 0, 1, 2]), 3).tolist() == [0.5, 0.25, 0.25]
    with pytest.raises(CalibrationError, match=r"Class 1 has no.*source_priors"):
        frequencies(np.array([0, 2]), 3)


def test_only_a_classification_has_priors() -> None:
    check_shiftable("t", CLASSIFICATION)
    with pytest.raises(CalibrationError, match="no classes that exclude"):
        check_shiftable("t", REGRESSION)


def of_split(split: str, posteriors: np.ndarray, classes: np.ndarray | None) -> Predictions:
    return Predictions(
        output=TaskOutput(task="t", task_type=CLASSIFICATION, width=3),
        fold=0,
        split=split,
        sample_ids=[f"{split}{row}" for row in range(len(posteriors))],
        outputs=torch.from_numpy(np.log(posteriors)).float(),
        targets=None if classes is None else torch.from_numpy(classes),
    )


def test_an_estimate_is_made_for_each_split_and_improves_its_likelihood() -> None:
    from mml_core.learning.evaluation import evaluate

    parts = {
        "val": of_split("val", *drawn(EVEN, 3000)),
        "test": of_split("test", *drawn(np.array([0.8, 0.1, 0.1]), 2000, seed=1)),
        "unlabelled": of_split("unlabelled", drawn(np.array([0.1, 0.1, 0.8]), 2000, seed=2)[0], None),
    }
    found, described = correct(parts, "estimate", None)
    assert found["val"] is parts["val"]
    assert evaluate(found["test"], ["nll"])["nll"] < evaluate(parts["test"], ["nll"])["nll"]
    assert described["target"]["test"]["priors"] == pytest.approx([0.8, 0.1, 0.1], abs=0.05)
    assert described["target"]["unlabelled"]["priors"] == pytest.approx([0.1, 0.1, 0.8], abs=0.05)


def test_without_priors_nothing_is_done() -> None:
    parts = {"val": of_split("val", *drawn(EVEN, 10))}
    assert correct(parts, None, None) == (parts, None)


def test_given_source_priors_are_those_corrected_from() -> None:
    parts = {"val": of_split("val", *drawn(EVEN, 30)), "test": of_split("test", *drawn(EVEN, 10, seed=1))}
    same = [0.5, 0.25, 0.25]
    found, _ = correct(parts, same, same)
    torch.testing.assert_close(found["test"].outputs, parts["test"].outputs)
