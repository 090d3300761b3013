"""Ensembles over models and folds: whose samples give weights, and on what models are combined."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from mml_core.learning.ensemble_weights import Greedy
from mml_core.learning.ensembles import EnsembleError
from mml_core.learning.ensembling import ALL_FOLDS, Member, Weights, combine_all, fit_weights, require_unseen
from mml_core.learning.outputs import CLASSIFICATION, TaskOutput
from mml_core.learning.predictions import Predictions
from mml_core.learning.probabilities import probabilities


def part(samples: Sequence[int], split: str, seed: int, skill: float = 1.0) -> Predictions:
    """Outputs of one model; the class of a sample is its number modulo 3."""
    rows = np.asarray(samples)
    noise = np.random.default_rng([seed, len(rows), int(rows[0])]).normal(size=(len(rows), 3))
    return Predictions(
        output=TaskOutput(task="t", task_type=CLASSIFICATION, width=3),
        fold=0,
        split=split,
        sample_ids=[f"s{row}" for row in rows],
        outputs=torch.tensor(noise + skill * np.eye(3)[rows % 3], dtype=torch.float32),
        targets=torch.tensor(rows % 3),
    )


def member(model: int, fold: int, skill: float = 1.0, outer: int | None = None, test: bool = True) -> Member:
    parts = {"val": part(range(20 * fold, 20 * fold + 20), "val", model, skill)}
    if test:
        parts["test"] = part(range(500, 530), "test", 10 * model + fold, skill)
    if outer is not None:
        parts["outer"] = part(range(20 * outer, 20 * outer + 20), "outer", model, skill)
    slot = f"fold{fold}" + ("" if outer is None else f"-outer{outer}")
    return Member(model=f"m{model}", slot=slot, parts=parts)


def weigh(members: Sequence[Member], method: str, metric: str = "nll") -> list[Weights]:
    return fit_weights(members, method, metric, Greedy(rounds=3), average="probabilities", seed=0)


def test_models_count_alike_in_a_mean() -> None:
    (found,) = weigh([member(1, 0), member(2, 0), member(1, 1), member(2, 1)], "mean")
    assert found.models == {"m1": 0.5, "m2": 0.5}
    assert found.slots == ("fold0", "fold1")


def test_a_model_is_judged_on_the_samples_of_all_its_folds() -> None:
    (found,) = weigh([member(m, f, skill) for f in (0, 1) for m, skill in ((1, 3.0), (2, 0.0))], "weighted")
    assert found.samples == 40
    assert found.models["m1"] > found.models["m2"]


def test_where_validation_is_nested_each_outer_fold_has_weights_of_its_own() -> None:
    # Fold 1 is outer for the first pair and validates the second: its targets must not reach the first.
    first = [member(m, 0, outer=1) for m in (1, 2)]
    second = [member(m, 1, outer=0) for m in (1, 2)]
    before = weigh([*first, *second], "weighted")
    turned = [
        replace(each, parts={**each.parts, "val": replace(val, targets=val.targets.roll(1))})
        for each in second
        for val in [each.parts["val"]]
    ]
    after = weigh([*first, *turned], "weighted")
    assert [each.slots for each in before] == [("fold0-outer1",), ("fold1-outer0",)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_nothing_is_weighed_of_a_single_model_or_of_other_folds() -> None:
    with pytest.raises(EnsembleError, match="has one"):
        weigh([member(1, 0), member(1, 1)], "weighted")
    with pytest.raises(EnsembleError, match="m2 of task 't' has fold0"):
        weigh([member(1, 0), member(1, 1), member(2, 0)], "greedy")


def test_models_that_have_validated_on_other_samples_are_not_compared() -> None:
    other = replace(member(2, 1), slot="fold0")
    with pytest.raises(EnsembleError, match="same samples"):
        weigh([member(1, 0), other], "weighted")


def test_a_sample_that_gives_weights_must_not_be_reported() -> None:
    leaking = member(1, 0)
    parts = {
        **leaking.parts,
        "test": replace(leaking.parts["test"], sample_ids=leaking.parts["val"].sample_ids),
    }
    with pytest.raises(EnsembleError, match=r"20 samples.*would be reported"):
        require_unseen(parts)
    with pytest.raises(EnsembleError, match="would be reported"):
        weigh([replace(leaking, parts=parts), member(2, 0)], "weighted")


def chances(predictions: Predictions) -> np.ndarray:
    return probabilities(CLASSIFICATION, predictions.outputs.double().numpy())


def test_models_of_one_fold_are_combined_on_all_splits_and_all_folds_on_the_test_split() -> None:
    members = [member(m, f) for f in (0, 1) for m in (1, 2)]
    weights = [Weights(slots=("fold0", "fold1"), models={"m1": 0.75, "m2": 0.25}, scores={})]
    found = combine_all(members, weights, average="probabilities")
    assert [each.slot for each in found] == ["fold0", "fold1", ""]
    assert [[p.split for p in each.predictions] for each in found] == [
        ["val", "test"],
        ["val", "test"],
        ["test"],
    ]
    assert found[-1].predictions[0].fold == ALL_FOLDS
    shares = [0.375, 0.125, 0.375, 0.125]
    expected = sum(s * chances(each.parts["test"]) for s, each in zip(shares, members, strict=True))
    np.testing.assert_allclose(chances(found[-1].predictions[0]), expected, atol=1e-6)


def test_models_with_fewer_folds_count_as_much_as_others() -> None:
    members = [member(1, 0), member(1, 1), member(2, 0)]
    found = combine_all(members, weigh(members, "mean"), average="probabilities")
    expected = sum(
        s * chances(each.parts["test"]) for s, each in zip((0.25, 0.25, 0.5), members, strict=True)
    )
    np.testing.assert_allclose(chances(found[-1].predictions[0]), expected, atol=1e-6)


def test_outer_folds_are_never_combined_over_folds() -> None:
    members = [member(1, 0, outer=1), member(1, 1, outer=0)]
    (found,) = combine_all(members, weigh(members, "mean"), average="probabilities")
    assert [each.split for each in found.predictions] == ["test"]
    without_test = [replace(each, parts={"outer": each.parts["outer"]}) for each in members]
    assert combine_all(without_test, weigh(without_test, "mean"), average="probabilities") == []
