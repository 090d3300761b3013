"""Confidence intervals are those of scipy on the same resamples, and of subjects where there are some."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn import metrics as reference

from mml_core.learning.evaluation import evaluate, prepare
from mml_core.learning.intervals import (
    Bootstrap,
    Interval,
    IntervalError,
    bootstrap,
    bootstrap_all,
    distributions,
    draw,
    units_of,
)
from mml_core.learning.metrics import BY_TYPE
from mml_core.learning.options import OptionError
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.predictions import Predictions

SAMPLES = 60


def made(logits: Any, targets: Any, task_type: str = "classification", **fields: Any) -> Predictions:
    outputs = torch.as_tensor(logits)
    defaults: dict[str, Any] = {"sample_ids": [f"s{row:05}" for row in range(len(outputs))]}
    return Predictions(
        output=TaskOutput(task="t", task_type=task_type, width=outputs.shape[1]),
        fold=0,
        split="test",
        outputs=outputs,
        targets=None if targets is None else torch.as_tensor(targets),
        **{**defaults, **fields},
    )


def guessed(samples: int = SAMPLES, classes: int = 3, **fields: Any) -> Predictions:
    """Predictions of a mediocre model, with ties."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, classes, (samples,), generator=generator)
    logits = torch.randn(samples, classes, generator=generator) + torch.nn.functional.one_hot(
        targets, classes
    )
    return made((4 * logits).round() / 4, targets, **fields)


def changed(predictions: Predictions, order: Any) -> Predictions:
    """The same predictions in another order."""
    assert isinstance(predictions.outputs, torch.Tensor)
    assert isinstance(predictions.targets, torch.Tensor)
    return made(
        predictions.outputs[order],
        predictions.targets[order],
        sample_ids=[predictions.sample_ids[row] for row in order],
        subject_ids=None
        if predictions.subject_ids is None
        else [predictions.subject_ids[row] for row in order],
    )


def in_numpy(metric: str, predictions: Predictions) -> Callable[[Any], float]:
    """A metric as a function of row numbers, by scikit-learn."""
    assert isinstance(predictions.outputs, torch.Tensor)
    assert isinstance(predictions.targets, torch.Tensor)
    logits, targets = predictions.outputs.double(), predictions.targets.numpy()
    probabilities = logits.softmax(1).numpy()

    def value(rows: Any) -> float:
        rows = np.asarray(rows, dtype=int)
        truth, stated = targets[rows], probabilities[rows]
        if metric == "accuracy":
            return float(reference.accuracy_score(truth, stated.argmax(1)))
        if metric == "auroc":
            return float(reference.roc_auc_score(truth, stated[:, 1]))
        return float(((stated - np.eye(stated.shape[1])[truth]) ** 2)[:, 1].mean())

    return value


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("metric", ["accuracy", "auroc", "brier"])
def test_intervals_are_those_of_scipy_on_the_same_resamples(metric: str, method: Any) -> None:
    predictions = guessed(classes=2)
    prepared = prepare(predictions, [metric])
    assert prepared is not None
    units, count = units_of(prepared.sample_ids, None)
    drawn = distributions(prepared.statistics, units, count, 500, seed=3)[metric][0]
    found = bootstrap(predictions, metric, method=method, resamples=500, confidence=0.9, seed=3)
    # scipy adds no resample of its own to those it is given.
    given = scipy.stats._resampling.BootstrapResult(None, drawn, 0.0)
    names = {"bca": "BCa", "percentile": "percentile"}
    expected = scipy.stats.bootstrap(
        (np.arange(SAMPLES),),
        in_numpy(metric, predictions),
        n_resamples=0,
        bootstrap_result=given,
        confidence_level=0.9,
        method=names[method],
        vectorized=False,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-12)
    assert found.value == pytest.approx(evaluate(predictions, [metric])[metric], abs=1e-15)


@pytest.mark.parametrize("metric", ["accuracy", "auroc", "brier"])
def test_a_resample_has_the_metric_of_its_samples(metric: str) -> None:
    predictions = guessed(classes=2)
    prepared = prepare(predictions, [metric])
    assert prepared is not None
    drawn = distributions(prepared.statistics, np.arange(SAMPLES), SAMPLES, 20, seed=5)[metric][0]
    weights = np.concatenate(list(draw(SAMPLES, 20, 5)), axis=1).astype(int)
    assert (weights.sum(axis=0) == SAMPLES).all()
    value = in_numpy(metric, predictions)
    expected = [value(np.repeat(np.arange(SAMPLES), counts)) for counts in weights.T]
    assert drawn == pytest.approx(expected, abs=1e-12)


def test_intervals_cover_the_true_value_as_often_as_they_claim() -> None:
    covered = 0
    for trial in range(200):
        generator = np.random.default_rng(trial)
        right = generator.random(150) < 0.8
        logits = np.where(right[:, None], [1.0, 0.0], [0.0, 1.0])
        found = bootstrap(made(logits, np.zeros(150, int)), "accuracy", resamples=300, seed=trial)
        covered += found.low <= 0.8 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_order_of_samples_does_not_matter() -> None:
    predictions = guessed()
    order = np.random.default_rng(1).permutation(SAMPLES)
    for metric in BY_TYPE["classification"]:
        one, other = (
            bootstrap(each, metric, seed=1, resamples=200)
            for each in (predictions, changed(predictions, order))
        )
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-9)


def test_equal_seeds_give_equal_intervals_and_others_do_not() -> None:
    predictions = guessed()
    first, again, other = (bootstrap(predictions, "auroc", seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_samples_of_a_subject_are_drawn_together() -> None:
    alone = guessed(subject_ids=[None] * SAMPLES)
    assert bootstrap(alone, "accuracy", seed=1) == bootstrap(guessed(), "accuracy", seed=1)
    # Every sample five times, as that of one subject: the interval is that of the samples once.
    rows = np.tile(np.arange(SAMPLES), 5)
    once = guessed(subject_ids=[f"p{row:05}" for row in range(SAMPLES)])
    repeated = changed(once, rows)
    ids = [f"{name}-{copy}" for copy, name in enumerate(repeated.sample_ids)]
    five = made(repeated.outputs, repeated.targets, sample_ids=ids, subject_ids=repeated.subject_ids)
    for metric in ("accuracy", "auroc", "ece"):
        single, grouped = (bootstrap(each, metric, seed=1) for each in (once, five))
        assert (single.value, single.low, single.high) == pytest.approx(
            (grouped.value, grouped.low, grouped.high), abs=1e-9
        )
    narrow = bootstrap(five, "accuracy", seed=1, by_subject=False)
    wide = bootstrap(five, "accuracy", seed=1)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_copies_of_a_sample_are_drawn_together() -> None:
    rows = np.tile(np.arange(SAMPLES), 3)
    assert bootstrap(changed(guessed(), rows), "accuracy", seed=1) == bootstrap(guessed(), "accuracy", seed=1)


def test_intervals_of_classes_follow_that_of_the_metric() -> None:
    predictions = guessed(classes=3)
    found = bootstrap_all(predictions, ["recall", "mcc"], Bootstrap(resamples=100), seed=1, per_class=True)
    assert {metric: len(intervals) for metric, intervals in found.items()} == {"recall": 4, "mcc": 1}
    assert found["recall"][0] == bootstrap(predictions, "recall", resamples=100, seed=1)
    values = [interval.value for interval in found["recall"][1:]]
    assert found["recall"][0].value == pytest.approx(np.mean(values))
    assert all(interval.low <= interval.value <= interval.high for interval in found["recall"])


def test_many_samples_leave_out_blocks_and_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = guessed(600, classes=2)
    exact = bootstrap(predictions, "auroc", seed=1, resamples=400)
    monkeypatch.setattr("mml_core.learning.statistics.MOST_BLOCKS", 100)
    blocks = bootstrap(predictions, "auroc", seed=1, resamples=400)
    width = exact.high - exact.low
    assert (blocks.low, blocks.high) == pytest.approx((exact.low, exact.high), abs=width / 20)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_what_has_no_spread_has_an_interval_of_no_width(method: Any) -> None:
    perfect = made(np.eye(2)[[0, 1] * 10] * 5, [0, 1] * 10)
    assert bootstrap(perfect, "accuracy", seed=1, method=method) == Interval(value=1, low=1, high=1)


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_one_subject_tells_nothing_of_others(method: Any) -> None:
    for single in (made([[1.0, 0.0]], [0]), guessed(subject_ids=["p"] * SAMPLES)):
        found = bootstrap(single, "accuracy", seed=1, method=method)
        assert found.value == evaluate(single, ["accuracy"])["accuracy"]
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_resamples_without_a_class_do_not_count() -> None:
    logits = np.stack([np.zeros(12), np.r_[np.arange(11), 20]], 1)
    found = bootstrap(made(logits, [0] * 11 + [1]), "auroc", seed=1)  # a third of all resamples lack class 1
    assert found == Interval(value=1, low=1, high=1)


@pytest.mark.parametrize(
    ("metric", "logits", "targets"),
    [
        ("auroc", np.zeros((5, 2)), [0] * 5),  # one class only
        ("accuracy", np.full((5, 2), np.nan), [0] * 5),  # a model that has diverged
        ("accuracy", np.zeros((0, 2)), np.zeros(0, int)),  # no samples
        ("accuracy", np.zeros((3, 2)), [-1] * 3),  # no sample has a target
    ],
)
def test_what_is_not_defined_has_no_interval(metric: str, logits: Any, targets: Any) -> None:
    found = bootstrap(made(logits, targets), metric, seed=1)
    assert all(math.isnan(each) for each in (found.value, found.low, found.high))


def test_an_infinite_loss_has_no_interval() -> None:
    found = bootstrap(made([[0.0, -math.inf], [1.0, 0.0]], [1, 0]), "nll", seed=1)
    assert found.value == math.inf
    assert math.isnan(found.low)


def test_misuse_is_named() -> None:
    predictions = guessed()
    with pytest.raises(OptionError, match="Did you mean 'accuracy'"):
        bootstrap(predictions, "acuracy", seed=1)
    with pytest.raises(OptionError, match="bca or percentile, found 'basic'"):
        bootstrap(predictions, "accuracy", seed=1, method="basic")
    with pytest.raises(OptionError, match="between 0 and 1, found 95"):
        bootstrap(predictions, "accuracy", seed=1, confidence=95)
    with pytest.raises(OptionError, match="from 1, found 0"):
        bootstrap(predictions, "accuracy", seed=1, resamples=0)
    with pytest.raises(IntervalError, match="split 'test' of task 't' have no targets"):
        bootstrap(made(np.zeros((3, 2)), None), "accuracy", seed=1)
