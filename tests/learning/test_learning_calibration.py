"""Calibration: optima by their conditions, and scikit-learn's results on the same predictions."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mml_core.learning.calibration import METHODS, check_method, fit
from mml_core.learning.calibrator import Calibrator, load_calibrator, save_calibrator
from mml_core.learning.evaluation import evaluate
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput
from mml_core.learning.predictions import Predictions
from mml_core.learning.probabilities import logits_of, probabilities
from mml_core.learning.scaling import COLDEST, CalibrationError


def predicted(
    outputs: np.ndarray,
    targets: np.ndarray | None,
    task_type: str = CLASSIFICATION,
    split: str = "val",
    width: int | None = None,
) -> Predictions:
    outputs = np.asarray(outputs, dtype=np.float32)
    if targets is not None:
        targets = torch.as_tensor(np.asarray(targets))
    return Predictions(
        output=TaskOutput(task="t", task_type=task_type, width=width or outputs.shape[1]),
        fold=0,
        split=split,
        sample_ids=[f"s{row}" for row in range(len(outputs))],
        outputs=torch.from_numpy(outputs.copy()),
        targets=targets,
    )


def overconfident(count: int = 400, classes: int = 3, seed: int = 0, factor: float = 4.0) -> Predictions:
    """Logits whose classes are drawn by their probabilities, and then multiplied."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(count, classes)).astype(np.float32)
    chances = probabilities(CLASSIFICATION, logits.astype(np.float64))
    targets = np.array([generator.choice(classes, p=row) for row in chances])
    return predicted(logits * factor, targets)


def nll(predictions: Predictions) -> float:
    return evaluate(predictions, ["nll"])["nll"]


def slope(calibrator: Calibrator, predictions: Predictions, direction: np.ndarray, bias: np.ndarray) -> float:
    """Derivative of the loss where the map is moved in one direction."""

    def loss(step: float) -> float:
        parameters = {
            "weight": (np.asarray(calibrator.parameters["weight"]) + step * direction).tolist(),
            "bias": (np.asarray(calibrator.parameters["bias"]) + step * bias).tolist(),
        }
        logits = torch.from_numpy(
            replace(calibrator, parameters=parameters).mapped(predictions.outputs.double().numpy())
        )
        return float(torch.nn.functional.cross_entropy(logits, predictions.targets))

    return (loss(1e-4) - loss(-1e-4)) / 2e-4


def test_a_temperature_undoes_what_logits_were_multiplied_by() -> None:
    found = fit("temperature", overconfident(5000))
    assert found.parameters["temperature"] == pytest.approx(4.0, rel=0.05)


def test_the_likelihood_has_no_slope_at_the_temperature() -> None:
    val = overconfident()
    found = fit("temperature", val)
    assert abs(slope(found, val, np.ones(()), np.zeros(3))) < 1e-6
    assert nll(found.apply(val)) < nll(val)


@pytest.mark.parametrize("method", ["affine", "vector", "matrix"])
def test_without_a_prior_the_likelihood_has_no_slope_in_any_direction(method: str) -> None:
    val = overconfident()
    found = fit(method, val, l2=0.0)
    generator = np.random.default_rng(1)
    shape = np.asarray(found.parameters["weight"]).shape
    for _ in range(5):
        direction = generator.normal(size=shape)
        assert abs(slope(found, val, direction, generator.normal(size=3))) < 1e-5


def test_more_parameters_fit_their_own_samples_better() -> None:
    val = overconfident()
    losses = [nll(fit(m, val, l2=0.0).apply(val)) for m in ("temperature", "affine", "vector", "matrix")]
    assert losses == sorted(losses, reverse=True)


def test_vector_scaling_of_two_classes_is_logistic_regression_of_both_logits() -> None:
    from sklearn.linear_model import LogisticRegression

    val = overconfident(classes=2)
    found = fit("vector", val, l2=0.0)
    theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    theirs.fit(val.outputs.double().numpy(), val.targets.numpy())
    ours = probabilities(CLASSIFICATION, found.mapped(val.outputs.double().numpy()))
    np.testing.assert_allclose(ours, theirs.predict_proba(val.outputs.double().numpy()), atol=1e-5)


def test_matrix_scaling_is_multinomial_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    val = overconfident()
    found = fit("matrix", val, l2=0.0)
    theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    theirs.fit(val.outputs.double().numpy(), val.targets.numpy())
    ours = probabilities(CLASSIFICATION, found.mapped(val.outputs.double().numpy()))
    np.testing.assert_allclose(ours, theirs.predict_proba(val.outputs.double().numpy()), atol=1e-5)


def test_affine_scaling_of_a_label_is_platt_scaling() -> None:
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(0)
    logits = generator.normal(size=(300, 2))
    targets = (generator.random((300, 2)) < 1 / (1 + np.exp(1 - 0.5 * logits))).astype(np.float32)
    val = predicted(logits, targets, MULTILABEL)
    found = fit("affine", val, l2=0.0)
    for label in range(2):
        theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
        theirs.fit(val.outputs[:, [label]].double().numpy(), targets[:, label])
        assert found.parameters["weight"][label] == pytest.approx(theirs.coef_[0, 0], abs=1e-4)
        assert found.parameters["bias"][label] == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_isotonic_calibration_of_two_classes_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    val, test = overconfident(classes=2), overconfident(classes=2, seed=1)
    stated = [probabilities(CLASSIFICATION, each.outputs.double().numpy())[:, 1] for each in (val, test)]
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(stated[0], val.targets.numpy())
    applied = fit("isotonic", val).apply(test)
    ours = probabilities(CLASSIFICATION, applied.outputs.double().numpy())[:, 1]
    np.testing.assert_allclose(ours, theirs.predict(stated[1]), atol=1e-6)


def test_isotonic_calibration_of_several_classes_is_scikit_learns() -> None:
    from sklearn.isotonic import IsotonicRegression

    val, test = overconfident(classes=4), overconfident(classes=4, seed=1)
    given, new = (probabilities(CLASSIFICATION, each.outputs.double().numpy()) for each in (val, test))
    theirs = np.stack(
        [
            IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            .fit(given[:, index], val.targets.numpy() == index)
            .predict(new[:, index])
            for index in range(4)
        ],
        axis=1,
    )
    theirs /= theirs.sum(axis=1, keepdims=True)
    ours = probabilities(CLASSIFICATION, fit("isotonic", val).apply(test).outputs.double().numpy())
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_isotonic_steps_are_scikit_learns_whatever_the_ties(samples: list[tuple[int, bool]]) -> None:
    from sklearn.isotonic import IsotonicRegression

    from mml_core.learning.isotonic import fit_isotonic

    stated = np.array([number / 5 for number, _ in samples])
    true = np.array([float(found) for _, found in samples])
    where = np.linspace(-0.1, 1.1, 25)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(stated, true)
    np.testing.assert_allclose(fit_isotonic(stated, true)(where), theirs.predict(where), atol=1e-9)


def test_a_line_is_fitted_to_each_value_of_a_regression() -> None:
    from scipy.stats import linregress

    generator = np.random.default_rng(0)
    values = generator.normal(size=(50, 2)).astype(np.float32)
    targets = values * [0.5, 2.0] + [3.0, -1.0] + generator.normal(scale=0.1, size=(50, 2))
    targets[3, 1] = math.nan
    found = fit("affine", predicted(values, targets.astype(np.float32), REGRESSION))
    for index in range(2):
        known = ~np.isnan(targets[:, index])
        line = linregress(values[known, index], targets[known, index])
        assert found.parameters["weight"][index] == pytest.approx(line.slope, rel=1e-5)
        assert found.parameters["bias"][index] == pytest.approx(line.intercept, rel=1e-5)


def test_a_constant_regression_gets_the_mean_of_the_targets() -> None:
    found = fit("affine", predicted(np.full((4, 1), 7.0), np.array([[1.0], [2.0], [3.0], [6.0]]), REGRESSION))
    assert found.mapped(np.array([[7.0]]))[0, 0] == pytest.approx(3.0)
    assert found.notes


@pytest.mark.parametrize("method", METHODS[CLASSIFICATION])
@pytest.mark.parametrize(
    "targets", [[0] * 6, [0, 1, 0, 1, 0, 1], [2]], ids=["one class", "one class absent", "one sample"]
)
def test_few_or_one_sided_samples_give_finite_predictions(method: str, targets: list[int]) -> None:
    val = overconfident(len(targets))
    val = replace(val, targets=torch.tensor(targets))
    applied = fit(method, val).apply(overconfident(20, seed=3))
    assert applied.outputs.isfinite().all()


@pytest.mark.parametrize("method", METHODS[CLASSIFICATION])
def test_samples_that_are_all_right_give_finite_predictions(method: str) -> None:
    val = overconfident(30)
    applied = fit(method, replace(val, targets=val.outputs.argmax(1))).apply(overconfident(20, seed=3))
    assert applied.outputs.isfinite().all()


@pytest.mark.parametrize("method", METHODS[CLASSIFICATION])
@pytest.mark.parametrize("count", [1, 2, 20])
@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1e3])
def test_logits_of_any_size_have_an_optimum(method: str, count: int, factor: float) -> None:
    for seed in range(3):
        val = overconfident(count, seed=seed, factor=factor)
        assert fit(method, val).apply(val).outputs.isfinite().all()


def test_a_temperature_without_optimum_lies_at_its_bound_and_says_so() -> None:
    val = overconfident(30)
    found = fit("temperature", replace(val, targets=val.outputs.argmax(1)))
    assert found.parameters["temperature"] == pytest.approx(COLDEST)
    assert "bound" in found.notes[0]


def test_without_a_prior_what_has_no_optimum_is_refused() -> None:
    val = overconfident(30)
    with pytest.raises(CalibrationError, match=r"no optimum.*mode\.calibration\.l2 above 0"):
        fit("vector", replace(val, targets=val.targets.clamp(max=1)), l2=0.0)


def test_a_logit_of_minus_infinity_stays_a_probability_of_zero() -> None:
    val = overconfident(50)
    outputs = val.outputs.clone()
    outputs[:, 2] = -math.inf
    val = replace(val, outputs=outputs, targets=val.targets.clamp(max=1))
    applied = fit("temperature", val).apply(val)
    assert (applied.outputs[:, 2] == -math.inf).all()
    assert applied.outputs[:, :2].isfinite().all()


def test_labels_without_a_choice_stay_as_they_are() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 2))
    targets = np.stack([np.ones(20), np.arange(20) % 2], axis=1).astype(np.float32)
    for method in METHODS[MULTILABEL]:
        val = predicted(logits, targets, MULTILABEL)
        found = fit(method, val)
        np.testing.assert_allclose(found.apply(val).outputs[:, 0], val.outputs[:, 0], atol=1e-5)
        assert "label 0" in found.notes[0]


def test_unknown_targets_do_not_count() -> None:
    val = overconfident(60)
    targets = val.targets.clone()
    targets[40:] = -1
    known = replace(val, outputs=val.outputs[:40], targets=val.targets[:40], sample_ids=val.sample_ids[:40])
    assert fit("vector", replace(val, targets=targets)) == fit("vector", known)


@pytest.mark.parametrize("split", ["test", "outer", "train", "unlabelled"])
def test_nothing_but_validation_samples_is_fitted_on(split: str) -> None:
    with pytest.raises(CalibrationError, match="val alone"):
        fit("temperature", replace(overconfident(10), split=split))


@pytest.mark.parametrize(
    ("method", "task_type", "reason"),
    [
        ("temperature", SEGMENTATION, "masks, without the probabilities.*leave the task out"),
        ("isotonic", REGRESSION, "no probabilities.*choose one of affine"),
        ("matrix", MULTILABEL, "one by one.*choose one of temperature"),
        ("tempersture", CLASSIFICATION, "no such method.*choose one of temperature"),
        ("tempersture", SEGMENTATION, "no such method"),
    ],
)
def test_what_a_type_does_not_have_is_refused_with_the_reason(
    method: str, task_type: str, reason: str
) -> None:
    with pytest.raises(CalibrationError, match=reason):
        check_method(method, TaskOutput(task="t", task_type=task_type, width=2))


def test_predictions_without_targets_or_of_a_diverged_model_are_refused() -> None:
    val = overconfident(5)
    with pytest.raises(CalibrationError, match="no validation sample with a target"):
        fit("temperature", replace(val, targets=None))
    with pytest.raises(CalibrationError, match="diverged"):
        fit("temperature", replace(val, outputs=torch.full((5, 3), math.nan)))
    with pytest.raises(CalibrationError, match="class 7"):
        fit("temperature", replace(val, targets=torch.full((5,), 7)))


def test_a_calibrator_refuses_the_outputs_of_another_head() -> None:
    found = fit("temperature", overconfident(20))
    with pytest.raises(CalibrationError, match="use its own"):
        found.apply(overconfident(20, classes=4))


@pytest.mark.parametrize("method", METHODS[CLASSIFICATION])
def test_a_stored_calibrator_maps_as_before(tmp_path, method: str) -> None:
    val = overconfident(100)
    found = fit(method, val)
    save_calibrator(tmp_path / "c.json", found, predictions="somewhere")
    again = load_calibrator(tmp_path / "c.json")
    assert torch.equal(again.apply(val).outputs, found.apply(val).outputs)
    assert json.loads((tmp_path / "c.json").read_text())["predictions"] == "somewhere"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"method": "temperature"}', "\xff"])
def test_a_damaged_calibrator_is_named(tmp_path, text: str) -> None:
    (tmp_path / "c.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CalibrationError, match=r"c\.json is no stored calibration"):
        load_calibrator(tmp_path / "c.json")


@pytest.mark.parametrize("task_type", [CLASSIFICATION, MULTILABEL])
def test_logits_give_the_probabilities_they_are_made_of(task_type: str) -> None:
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], size=10)
    np.testing.assert_allclose(probabilities(task_type, logits_of(task_type, chances)), chances, rtol=1e-12)


def test_samples_without_any_chance_have_equal_ones() -> None:
    assert np.ptp(logits_of(CLASSIFICATION, np.zeros((1, 3)))) == 0
