"""Dividing training samples into folds: balanced by class, never through a group, repeatable by seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.errors import CreationError


def assign_folds(
    strata: Sequence[Hashable], groups: Sequence[Hashable] | None = None, *, num_folds: int, seed: int
) -> NDArray[np.int16]:
    """Assign every sample to the fold in which it validates.

    Groups are dealt out from the largest to the smallest, each to the fold that it leaves most balanced:
    first by the strata that it holds, then by the number of samples; equally large ones in random order.
    Without groups, the folds differ by at most one sample in every stratum, and by at most one in size.

    Args:
        strata: What has to be spread evenly over the folds, usually the class; one per sample.
        groups: Samples of one group (a subject) get one fold; None lets each sample be on its own.
        num_folds: How many folds, at least 2.
        seed: Decides the order in which samples or groups are dealt out.

    Returns:
        The fold of each sample, 0 to ``num_folds - 1``; no fold is empty.

    Raises:
        CreationError: There are fewer samples or groups than folds.
    """
    if num_folds < 2:
        raise CreationError(f"Folds to make: {num_folds}; at least 2 are needed, to train and to validate.")
    _, codes = _codes(strata)
    if groups is None:
        return _deal_samples(codes, num_folds, seed)
    names, members = _codes(groups)
    if len(names) < num_folds:
        raise CreationError(
            f"Folds to make: {num_folds}; but there are only {len(names)} groups of training samples, and a "
            "group is never split: make fewer folds."
        )
    return _deal_groups(codes, members, len(names), num_folds, seed)


def join_groups(first: Sequence[Hashable | None], second: Sequence[Hashable | None]) -> list[int]:
    """Return a grouping that joins samples with a common value in either; None is common to none."""
    parent = list(range(len(first)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for values in (first, second):
        seen: dict[Hashable, int] = {}
        for index, value in enumerate(values):
            if value is not None:
                parent[root(index)] = root(seen.setdefault(value, index))
    return [root(index) for index in range(len(first))]


def quantile_strata(values: Sequence[float], bins: int = 10) -> list[int]:
    """Return strata for a regression: values by rank in parts of equal size; ties stay together."""
    array = np.asarray(values, dtype=np.float64)
    ranks = np.searchsorted(np.sort(array), array, side="left")
    return [int(rank) * bins // max(1, len(array)) for rank in ranks]


def _codes(values: Sequence[Hashable]) -> tuple[list[Hashable], NDArray[np.int64]]:
    """Number values by first occurrence, which does not depend on how they hash or compare."""
    numbers: dict[Hashable, int] = {}
    codes = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), np.asarray(codes, dtype=np.int64)


def _deal_samples(codes: NDArray[np.int64], num_folds: int, seed: int) -> NDArray[np.int16]:
    if len(codes) < num_folds:
        raise CreationError(
            f"Folds to make: {num_folds}; but there are only {len(codes)} training samples: make fewer folds."
        )
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_stratum = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(len(codes), dtype=np.int16)
    folds[by_stratum] = np.arange(len(codes)) % num_folds  # going round without a break balances sizes too
    return folds


def _deal_groups(
    codes: NDArray[np.int64], members: NDArray[np.int64], num_groups: int, num_folds: int, seed: int
) -> NDArray[np.int16]:
    num_strata = int(codes.max()) + 1
    holds = np.zeros((num_groups, num_strata), dtype=np.int64)
    np.add.at(holds, (members, codes), 1)
    totals = holds.sum(axis=0)
    shuffled = np.random.default_rng(seed).permutation(num_groups)
    order = shuffled[np.argsort(-holds[shuffled].sum(axis=1), kind="stable")]
    load = np.zeros((num_folds, num_strata), dtype=np.int64)
    fold_of_group = np.empty(num_groups, dtype=np.int16)
    for position, group in enumerate(order):
        present = np.flatnonzero(holds[group])
        missing_folds = np.flatnonzero(load.sum(axis=1) == 0)
        left = num_groups - position
        candidates = missing_folds if left <= len(missing_folds) else np.arange(num_folds)
        share = load[np.ix_(candidates, present)] / totals[present]
        cost = np.lexsort((load[candidates].sum(axis=1), (share * holds[group, present]).sum(axis=1)))
        chosen = candidates[cost[0]]
        load[chosen] += holds[group]
        fold_of_group[group] = chosen
    return fold_of_group[members]
