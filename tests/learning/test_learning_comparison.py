"""Two models are compared on the same samples, whatever their order, and over tasks by ranks."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from mml_core.learning.comparison import Comparison, adjusted, compare, summarise_tasks
from mml_core.learning.evaluation import evaluate
from mml_core.learning.intervals import Bootstrap, Interval
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.pairing import ComparisonError
from mml_core.learning.predictions import Predictions
from mml_core.learning.significance import holm, wilcoxon_signed_rank

SAMPLES = 120
HOW = Bootstrap(resamples=400)


def model(skill: float, seed: int, *, fold: int = 0, task: str = "t", samples: int = SAMPLES) -> Predictions:
    """Predictions of three classes by a model of some skill, of samples that all models share."""
    targets = torch.arange(samples) % 3
    noise = torch.randn(samples, 3, generator=torch.Generator().manual_seed(seed))
    return Predictions(
        output=TaskOutput(task=task, task_type="classification", width=3),
        fold=fold,
        split="test",
        sample_ids=[f"s{row:04}" for row in range(samples)],
        outputs=noise + skill * torch.nn.functional.one_hot(targets, 3),
        targets=targets,
    )


def reordered(predictions: Predictions, order: Any) -> Predictions:
    return replace(
        predictions,
        sample_ids=[predictions.sample_ids[row] for row in order],
        outputs=predictions.outputs[order],
        targets=predictions.targets[order],
    )


def only(comparisons: list[Comparison]) -> Comparison:
    (comparison,) = comparisons
    return comparison


def test_a_better_model_is_found_better() -> None:
    good, bad = model(3, seed=1), model(1, seed=2)
    found = only(compare([good], [bad], ["accuracy"], HOW, seed=1))
    assert (found.first, found.second) == (
        evaluate(good, ["accuracy"])["accuracy"],
        evaluate(bad, ["accuracy"])["accuracy"],
    )
    assert found.difference.value == found.first - found.second > 0
    assert 0 < found.difference.low < found.difference.value < found.difference.high
    assert found.p_value < 0.05
    assert (found.samples, found.units, found.folds) == (SAMPLES, SAMPLES, 1)


def test_models_that_are_alike_do_not_differ() -> None:
    one = model(1, seed=1)
    found = only(compare([one], [one], ["auroc"], HOW, seed=1))
    assert found.difference == Interval(value=0, low=0, high=0)
    assert found.p_value == 1


def test_pairs_tell_more_than_two_intervals() -> None:
    """A model that is right on three samples more than another is better, though their intervals overlap."""
    one = model(1, seed=1, samples=300)
    outputs = one.outputs.clone()
    wrong = (outputs.argmax(1) != one.targets).nonzero().flatten()[:12]
    outputs[wrong] = 9.0 * torch.nn.functional.one_hot(one.targets[wrong], 3)
    better = replace(one, outputs=outputs)
    found = only(compare([better], [one], ["accuracy"], HOW, seed=1))
    assert found.difference.value == pytest.approx(12 / 300)
    assert found.p_value < 0.05


def test_the_order_of_samples_does_not_matter() -> None:
    one, other = model(2, seed=1), model(1, seed=2)
    order = np.random.default_rng(0).permutation(SAMPLES).tolist()
    plain = only(compare([one], [other], ["f1"], HOW, seed=1))
    mixed = only(compare([reordered(one, order)], [other], ["f1"], HOW, seed=1))
    assert plain == mixed


def test_the_order_of_models_turns_the_difference_around() -> None:
    one, other = model(1.2, seed=1), model(1, seed=2)
    for method in ("percentile", "bca"):
        how = Bootstrap(resamples=400, method=method)
        there = only(compare([one], [other], ["brier"], how, seed=1))
        back = only(compare([other], [one], ["brier"], how, seed=1))
        assert there.p_value == pytest.approx(back.p_value)
        bounds = (there.difference.value, there.difference.low, there.difference.high)
        assert bounds == pytest.approx((-back.difference.value, -back.difference.high, -back.difference.low))


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("skill", [1.1, 1.3, 1.5, 1.7])
def test_the_p_value_is_small_where_the_interval_leaves_zero_out(method: str, skill: float) -> None:
    how = Bootstrap(resamples=2000, method=method)
    found = only(compare([model(skill, seed=1)], [model(1, seed=2)], ["nll"], how, seed=1))
    outside = found.difference.low > 0 or found.difference.high < 0
    assert (found.p_value < 0.05) == outside


def test_equal_models_are_found_different_as_often_as_the_level_says() -> None:
    found = [
        only(
            compare(
                [model(1, seed=2 * trial)],
                [model(1, seed=2 * trial + 1)],
                ["brier"],
                Bootstrap(resamples=200),
                seed=trial,
            )
        ).p_value
        for trial in range(100)
    ]
    assert sum(p < 0.05 for p in found) <= 12


def test_a_difference_over_folds_is_the_mean_of_folds() -> None:
    first = [model(2, seed=fold, fold=fold) for fold in range(3)]
    second = [model(1, seed=10 + fold, fold=fold) for fold in range(3)]
    found = only(compare(first, list(reversed(second)), ["auroc"], HOW, seed=1))
    each = [
        only(compare([one], [other], ["auroc"], HOW, seed=1))
        for one, other in zip(first, second, strict=True)
    ]
    assert found.difference.value == pytest.approx(np.mean([fold.difference.value for fold in each]))
    assert (found.folds, found.units, found.samples) == (3, SAMPLES, SAMPLES)
    widths = [fold.difference.high - fold.difference.low for fold in each]
    assert found.difference.high - found.difference.low < np.mean(widths)


def test_folds_with_samples_of_their_own_are_compared_together() -> None:
    rows = [list(range(fold, SAMPLES, 2)) for fold in (0, 1)]
    first, second = (
        [replace(reordered(model(skill, seed=seed), rows[fold]), fold=fold) for fold in (0, 1)]
        for skill, seed in ((2, 1), (1, 2))
    )
    found = only(compare(first, second, ["accuracy"], HOW, seed=1))
    assert (found.samples, found.units) == (SAMPLES, SAMPLES)
    assert found.difference.low < found.difference.value < found.difference.high


def test_samples_of_a_subject_are_drawn_together() -> None:
    subjects = [f"p{row // 6}" for row in range(SAMPLES)]
    one, other = (replace(model(skill, seed=skill), subject_ids=subjects) for skill in (2, 1))
    found = only(compare([one], [other], ["accuracy"], HOW, seed=1))
    assert found.units == SAMPLES / 6
    alone = Bootstrap(resamples=400, by_subject=False)
    assert only(compare([one], [other], ["accuracy"], alone, seed=1)).units == SAMPLES


def test_a_model_that_has_diverged_is_not_compared() -> None:
    one = model(1, seed=1)
    found = only(compare([one], [replace(one, outputs=one.outputs * math.nan)], ["auroc"], HOW, seed=1))
    assert math.isnan(found.p_value)
    assert math.isnan(found.difference.value)


def test_what_is_not_the_same_is_named() -> None:
    one, other = model(1, seed=1), model(1, seed=2)
    with pytest.raises(
        ComparisonError, match=r"1 only in the first \(s0000\), 1 only in the second \(s0119\)"
    ):
        compare(
            [reordered(one, list(range(119)))], [reordered(other, list(range(1, 120)))], ["f1"], HOW, seed=1
        )
    changed = other.targets.clone()
    changed[5:10] = 0
    with pytest.raises(
        ComparisonError, match=r"3 samples of task 't' have other targets .*s0005, s0007, s0008\)"
    ):
        compare([one], [replace(other, targets=changed)], ["f1"], HOW, seed=1)
    with pytest.raises(ComparisonError, match=r"different tasks: 't' .* and 'u'"):
        compare([one], [model(1, seed=1, task="u")], ["f1"], HOW, seed=1)
    with pytest.raises(ComparisonError, match="folds 0, 1 of task 't', the second of 0"):
        compare([one, replace(one, fold=1)], [other], ["f1"], HOW, seed=1)
    with pytest.raises(ComparisonError, match="have no targets"):
        compare([replace(one, targets=None)], [replace(other, targets=None)], ["f1"], HOW, seed=1)


def test_holm_is_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2, math.nan, 0.5]) == pytest.approx([0.4, math.nan, 0.5], nan_ok=True)
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_signed_ranks_are_those_of_scipy() -> None:
    differences = [0.1, 0.2, -0.05, 0.3, 0.15, 0.0]
    assert wilcoxon_signed_rank(differences) == scipy.stats.wilcoxon(differences[:-1]).pvalue
    assert wilcoxon_signed_rank([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2**-4)
    assert wilcoxon_signed_rank([0, 0]) == 1
    assert math.isnan(wilcoxon_signed_rank([math.nan]))


def test_tasks_are_summed_up_and_p_values_adjusted_for_their_number() -> None:
    tasks = [f"t{number}" for number in range(5)]
    found = [
        each
        for number, task in enumerate(tasks)
        for each in compare(
            [model(3, seed=number, task=task)],
            [model(1, seed=9 + number, task=task)],
            ["auroc", "brier"],
            HOW,
            seed=1,
        )
    ]
    for metric in ("auroc", "brier"):
        of_metric = [each for each in adjusted(found) if each.metric == metric]
        assert [each.p_holm for each in of_metric] == holm([each.p_value for each in of_metric])
    summaries = {each.metric: each for each in summarise_tasks(found)}
    for summary in summaries.values():  # a smaller Brier score is better
        assert (summary.tasks, summary.first_better, summary.second_better) == (5, 5, 0)
        assert summary.p_value == pytest.approx(2**-4)
        assert summary.p_holm == pytest.approx(2**-3)
    assert summaries["auroc"].median > 0 > summaries["brier"].median
