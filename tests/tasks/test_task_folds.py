"""Folds are balanced, whole by group, complete and repeatable, whatever the samples are."""

from __future__ import annotations

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml_core.tasks.errors import CreationError
from mml_core.tasks.folds import assign_folds, join_groups, quantile_strata

STRATA = st.lists(st.integers(0, 4), min_size=5, max_size=80)


@given(STRATA, st.integers(2, 5), st.integers(0, 10))
def test_without_groups_strata_and_sizes_differ_by_one_at_most(strata, num_folds, seed):
    folds = assign_folds(strata, num_folds=num_folds, seed=seed)
    for chosen in [np.ones(len(strata), bool), *(np.asarray(strata) == s for s in set(strata))]:
        counts = np.bincount(folds[chosen], minlength=num_folds)
        assert counts.max() - counts.min() <= 1


@given(st.data(), st.integers(2, 5), st.integers(0, 10))
def test_a_group_is_never_split_and_no_fold_is_empty(data, num_folds, seed):
    groups = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=80))
    strata = data.draw(st.lists(st.sampled_from("abc"), min_size=len(groups), max_size=len(groups)))
    if len(set(groups)) < num_folds:
        with pytest.raises(CreationError, match="only"):
            assign_folds(strata, groups, num_folds=num_folds, seed=seed)
        return
    folds = assign_folds(strata, groups, num_folds=num_folds, seed=seed)
    found = collections.defaultdict(set)
    for group, fold in zip(groups, folds, strict=True):
        found[group].add(fold)
    assert all(len(each) == 1 for each in found.values())
    assert set(folds.tolist()) == set(range(num_folds))


@given(STRATA, st.integers(0, 3))
def test_the_seed_decides(strata, seed):
    again = assign_folds(strata, strata[::-1], num_folds=2, seed=seed) if len(set(strata)) > 1 else None
    if again is not None:
        assert (again == assign_folds(strata, strata[::-1], num_folds=2, seed=seed)).all()
    first, second = (assign_folds(strata, num_folds=2, seed=seed) for _ in range(2))
    assert (first == second).all()


def test_another_seed_deals_otherwise():
    strata = [0, 1] * 50
    assert (assign_folds(strata, num_folds=5, seed=1) != assign_folds(strata, num_folds=5, seed=2)).any()


def test_groups_of_one_class_are_spread_over_the_folds():
    groups = [i // 4 for i in range(80)]
    strata = [group % 2 for group in groups]
    folds = assign_folds(strata, groups, num_folds=5, seed=0)
    for stratum in (0, 1):
        assert np.bincount(folds[np.asarray(strata) == stratum]).tolist() == [8] * 5


@pytest.mark.parametrize("num_folds", [-1, 0, 1])
def test_too_few_folds_are_refused(num_folds):
    with pytest.raises(CreationError, match="at least 2"):
        assign_folds([0, 1], num_folds=num_folds, seed=0)


def test_groups_join_through_either_value():
    joined = join_groups(["a", "a", None, None, "b"], ["x", "y", "y", None, None])
    assert joined[0] == joined[1] == joined[2]
    assert len({joined[0], joined[3], joined[4]}) == 3


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_equal_values_share_a_stratum_and_order_is_kept(values):
    strata = quantile_strata(values)
    pairs = sorted(zip(values, strata, strict=True))
    assert [s for _, s in pairs] == sorted(s for _, s in pairs)
    assert len(set(pairs)) == len(set(values))
