"""Ensembles: what is combined, by which weights, and what must not be combined."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from mml_core.learning.ensemble_weights import Greedy, scores_of, select_greedily, weights_by_score
from mml_core.learning.ensembles import EnsembleError, aligned, combined, joined
from mml_core.learning.evaluation import evaluate
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput
from mml_core.learning.predictions import Predictions, taken
from mml_core.learning.probabilities import probabilities


def of_type(
    task_type: str, outputs: object, targets: object, split: str = "val", fold: int = 0
) -> Predictions:
    width = 3 if task_type == SEGMENTATION else len(outputs[0])
    if task_type != SEGMENTATION:
        outputs, targets = torch.tensor(outputs), torch.tensor(targets)
    return Predictions(
        output=TaskOutput(task="t", task_type=task_type, width=width),
        fold=fold,
        split=split,
        sample_ids=[f"s{row}" for row in range(len(outputs))],
        outputs=outputs,
        targets=targets,
        subject_ids=[f"p{row // 2}" for row in range(len(outputs))],
    )


def classes(seed: int, count: int = 40, skill: float = 1.0, **kwargs: object) -> Predictions:
    """Noisy logits of three classes; the same truth for every seed."""
    targets = np.arange(count) % 3
    noise = np.random.default_rng(seed).normal(size=(count, 3))
    logits = (noise + skill * np.eye(3)[targets]).astype(np.float32)
    return of_type(CLASSIFICATION, logits.tolist(), targets.tolist(), **kwargs)


def chances(predictions: Predictions) -> np.ndarray:
    return probabilities(predictions.output.task_type, predictions.outputs.double().numpy())


def test_probabilities_are_averaged_with_their_weights() -> None:
    members = [classes(0), classes(1)]
    found = combined(members, [3, 1])
    np.testing.assert_allclose(
        chances(found), 0.75 * chances(members[0]) + 0.25 * chances(members[1]), atol=1e-6
    )
    assert found.sample_ids == members[0].sample_ids


def test_logits_are_averaged_where_asked_for() -> None:
    members = [classes(0), classes(1)]
    expected = (members[0].outputs + members[1].outputs) / 2
    torch.testing.assert_close(combined(members, [1, 1], "logits").outputs, expected)


def test_labels_are_averaged_one_by_one() -> None:
    members = [
        of_type(MULTILABEL, [[0.0, 2.0]], [[1.0, 0.0]]),
        of_type(MULTILABEL, [[1.0, -9.0]], [[1.0, 0.0]]),
    ]
    expected = (chances(members[0]) + chances(members[1])) / 2
    np.testing.assert_allclose(chances(combined(members, [1, 1])), expected, atol=1e-6)


def test_sure_members_give_no_infinity_that_is_no_number() -> None:
    sure = of_type(CLASSIFICATION, [[0.0, -math.inf]], [0])
    other = of_type(CLASSIFICATION, [[-math.inf, 0.0]], [0])
    for average in ("probabilities", "logits"):
        np.testing.assert_allclose(chances(combined([sure, other], [1, 1], average)), [[0.5, 0.5]])
    labels = [of_type(MULTILABEL, [[value]], [[1.0]]) for value in (math.inf, -math.inf)]
    for average in ("probabilities", "logits"):
        np.testing.assert_allclose(chances(combined(labels, [1, 1], average)), [[0.5]])


def test_values_of_a_regression_are_averaged() -> None:
    members = [
        of_type(REGRESSION, [[1.0], [2.0]], [[0.0], [0.0]]),
        of_type(REGRESSION, [[3.0], [6.0]], [[0.0], [0.0]]),
    ]
    assert combined(members, [1, 1]).outputs.tolist() == [[2.0], [4.0]]
    assert combined(members, [1, 0]).outputs.tolist() == [[1.0], [2.0]]


def mask(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.uint8)


def test_segmentations_vote_and_the_first_class_wins_a_tie() -> None:
    members = [
        of_type(SEGMENTATION, [mask([0, 1, 2])], [mask([0, 0, 0])]),
        of_type(SEGMENTATION, [mask([0, 1, 1])], [mask([0, 0, 0])]),
        of_type(SEGMENTATION, [mask([1, 2, 0])], [mask([0, 0, 0])]),
    ]
    assert combined(members, [1, 1, 1]).outputs[0].tolist() == [[0, 1, 0]]
    assert combined(members, [1, 1, 3]).outputs[0].tolist() == [[1, 2, 0]]


def test_masks_of_different_sizes_are_refused() -> None:
    members = [of_type(SEGMENTATION, [m], [mask([0])]) for m in (mask([0, 1]), mask([0], [1]))]
    with pytest.raises(EnsembleError, match="differ in size"):
        combined(members, [1, 1])


def test_samples_are_brought_into_the_order_of_the_first_member() -> None:
    first, second = classes(0), classes(1)
    shuffled = taken(second, np.random.default_rng(0).permutation(40))
    again = aligned([first, shuffled])[1]
    assert torch.equal(again.outputs, second.outputs)
    assert torch.equal(again.targets, second.targets)
    assert (again.sample_ids, again.subject_ids) == (second.sample_ids, second.subject_ids)


def test_other_samples_targets_or_heads_are_refused() -> None:
    first = classes(0)
    with pytest.raises(EnsembleError, match=r"same samples.*1 are of one"):
        aligned([first, taken(first, np.arange(39))])
    with pytest.raises(EnsembleError, match="same targets"):
        aligned([first, replace(first, targets=first.targets.roll(1))])
    with pytest.raises(EnsembleError, match="same targets"):
        aligned([first, replace(first, targets=None)])
    with pytest.raises(EnsembleError, match="one kind of outputs"):
        aligned([first, replace(first, output=replace(first.output, width=4))])


def test_targets_that_are_not_known_are_the_same() -> None:
    member = of_type(REGRESSION, [[1.0], [2.0]], [[math.nan], [0.0]])
    assert len(aligned([member, member])) == 2


def test_the_folds_of_a_model_are_put_behind_each_other() -> None:
    whole = classes(0)
    parts = [taken(whole, np.arange(10)), taken(whole, np.arange(10, 40))]
    found = joined(parts)
    assert torch.equal(found.outputs, whole.outputs)
    assert torch.equal(found.targets, whole.targets)
    assert found.sample_ids == whole.sample_ids


def test_weights_are_in_proportion_to_the_score() -> None:
    assert weights_by_score([0.9, 0.6], "accuracy") == pytest.approx([0.6, 0.4])
    assert weights_by_score([0.5, -0.2], "mcc") == [1.0, 0.0]


def test_weights_are_in_inverse_proportion_to_a_loss() -> None:
    assert weights_by_score([1.0, 3.0], "nll") == pytest.approx([0.75, 0.25])
    assert weights_by_score([0.0, 3.0], "mse") == [1.0, 0.0]


def test_scores_that_are_none_above_zero_give_no_weights() -> None:
    with pytest.raises(EnsembleError, match="mcc above 0"):
        weights_by_score([-0.1, 0.0], "mcc")


def test_greedy_selection_takes_those_that_complete_each_other() -> None:
    # Each of the first two is wrong about one sample; together they are right. The third is a worse copy.
    truth = [0, 1, 0]
    first = of_type(CLASSIFICATION, [[3.0, 0.0], [1.0, 0.0], [3.0, 0.0]], truth)
    second = of_type(CLASSIFICATION, [[0.0, 1.0], [0.0, 3.0], [3.0, 0.0]], truth)
    third = of_type(CLASSIFICATION, [[0.0, 1.0], [0.0, 1.0], [0.0, 9.0]], truth)
    weights = select_greedily(
        [first, third, second], "accuracy", Greedy(rounds=5), average="probabilities", seed=0
    )
    assert weights == [0.5, 0.0, 0.5]


def test_greedy_selection_weighs_by_selecting_again() -> None:
    # The best mean of 0 and 3 for 1 takes the first twice.
    members = [of_type(REGRESSION, [[value]], [[1.0]]) for value in (0.0, 3.0)]
    weights = select_greedily(members, "mse", Greedy(rounds=8), average="probabilities", seed=0)
    assert weights == pytest.approx([2 / 3, 1 / 3])


def test_greedy_selection_is_never_worse_than_the_best_member() -> None:
    members = [classes(seed, skill=seed / 4) for seed in range(5)]
    weights = select_greedily(members, "nll", Greedy(), average="probabilities", seed=0)
    chosen = evaluate(combined(members, weights), ["nll"])["nll"]
    assert chosen <= min(scores_of(members, "nll"))


def test_it_begins_with_the_best_ones() -> None:
    members = [classes(seed, skill=skill) for seed, skill in enumerate((0.0, 4.0, 2.0))]
    weights = select_greedily(members, "nll", Greedy(rounds=0, initial=2), average="probabilities", seed=0)
    assert weights == [0.0, 0.5, 0.5]


def test_bags_are_drawn_by_the_seed() -> None:
    members = [classes(seed) for seed in range(6)]
    how = Greedy(rounds=3, bags=4)
    one, again, other = (
        select_greedily(members, "nll", how, average="probabilities", seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert sum(one) == pytest.approx(1)


@pytest.mark.parametrize("split", ["test", "outer", "train"])
def test_weights_follow_nothing_but_validation_samples(split: str) -> None:
    with pytest.raises(EnsembleError, match="val alone"):
        scores_of([classes(0, split=split)], "nll")


def test_a_metric_that_is_not_defined_gives_no_weights() -> None:
    one_sided = replace(classes(0), targets=torch.zeros(40, dtype=torch.int64))
    with pytest.raises(EnsembleError, match=r"auroc .* is nan.*mode\.ensemble\.metric"):
        scores_of([one_sided], "auroc")
    with pytest.raises(EnsembleError, match="nll"):
        scores_of([replace(classes(0), targets=None)], "nll")


@pytest.mark.parametrize(
    "wrong", [{"rounds": -1}, {"bags": 0}, {"initial": True}, {"bag_share": 0}, {"bag_share": "half"}]
)
def test_options_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(EnsembleError, match=rf"mode\.ensemble\.{next(iter(wrong))}"):
        Greedy(**wrong)
