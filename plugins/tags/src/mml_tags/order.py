"""The order in which training samples are kept: of every class, from every fold, subject by subject."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from mml_core.api import TaskDescription, TaskType

Rows = NDArray[np.int64]


def classes_of(task: TaskDescription, rows: Rows) -> NDArray[np.int64]:
    """Return the class by which each sample is balanced, (N,).

    Of a classification its label; of a multilabel task the rarest of its labels, so that rare ones are kept
    (the idea of Sechidis, Tsoumakas & Vlahavas, "On the stratification of multi-label data", 2011); of all
    others 0. -1 where a sample has no target.
    """
    samples = task.samples
    if task.task_type is TaskType.CLASSIFICATION:
        return samples.numpy("label")[rows].astype(np.int64)
    if task.task_type is not TaskType.MULTILABEL:
        return np.zeros(len(rows), dtype=np.int64)
    positive = samples.numpy("labels")[rows] > 0.5
    rarity = np.where(positive, positive.sum(axis=0), len(rows) + 1)
    return np.where(positive.any(axis=1), rarity.argmin(axis=1), -1)


def random_numbers(names: list[str], seed: int, purpose: str) -> NDArray[np.uint64]:
    """Return a number for each name that depends on the name, the seed and the purpose alone, (N,)."""
    key = f"{seed}/{purpose}".encode()[:64]
    digests = b"".join(blake2b(name.encode(), key=key, digest_size=8).digest() for name in names)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class KeepingOrder:
    """Training samples in the order in which they are kept.

    Within each class, one unit after the other is taken from the folds in turn. A unit is a subject, of the
    class that most of its samples have, or a sample without a subject; which unit comes first is random by
    the seed. As the order does not depend on how many are asked for, what fewer keep is part of what more
    keep.

    Args:
        task: The task.
        rows: Rows of the sample table to order, (N,).
        seed: What the order is random by.
    """

    def __init__(self, task: TaskDescription, rows: Rows, seed: int) -> None:
        samples = task.samples
        ids = samples.column("sample_id").take(rows).to_pylist()
        groups = samples.column("group").take(rows).to_pylist()
        names = [
            f"sample {name}" if group is None else f"subject {group}"
            for name, group in zip(ids, groups, strict=True)
        ]
        self.classes = classes_of(task, rows)
        self.rows = rows
        _, self._units = np.unique(np.array(names, dtype=str), return_inverse=True)
        self._folds = samples.numpy("fold")[rows].astype(np.int64)
        self._numbers, self._within = random_numbers(names, seed, "unit"), random_numbers(ids, seed, "sample")

    def first(self, count: int) -> Rows:
        """Keep about so many samples in whole units, of each class by its share and at least one.

        Args:
            count: Samples to keep; of each class the units are taken whose number of samples comes nearest.

        Returns:
            Rows of the sample table.
        """
        strata = _majority(self._units, self.classes)
        order = self._order(strata)
        part = count / max(1, len(self.rows))
        kept = [np.empty(0, dtype=np.int64)]
        for label in np.unique(strata):
            mine = order[strata[order] == label]
            units = self._units[mine]
            ends = np.flatnonzero(np.append(units[1:] != units[:-1], True)) + 1
            nearest = int(ends[np.argmin(np.abs(ends - part * len(mine)))])
            kept.append(self.rows[mine[:nearest]])
        return np.concatenate(kept)

    def first_of_classes(self, counts: Sequence[int]) -> Rows:
        """Keep exactly so many samples of each class; of the last subject maybe not all.

        Args:
            counts: Samples of each class, not more than there are.

        Returns:
            Rows of the sample table.
        """
        order = self._order(self.classes)
        labels = self.classes[order]
        kept = [self.rows[order[labels == label][:count]] for label, count in enumerate(counts)]
        return np.concatenate(kept)

    def _order(self, strata: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return positions: by stratum, then the folds in turn, unit by unit."""
        turns = _turns(strata, self._folds, self._units, self._numbers)
        return np.lexsort((self._within, self._units, self._folds, turns, strata))


def _majority(units: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each sample the class that most samples of its unit have, the lowest of equally many."""
    pairs, counts = np.unique(np.stack([units, classes], 1), axis=0, return_counts=True)
    best = np.lexsort((-pairs[:, 1], counts, pairs[:, 0]))  # the last of each unit
    of_unit = np.empty(units.max(initial=-1) + 1, dtype=np.int64)
    of_unit[pairs[best, 0]] = pairs[best, 1]
    return of_unit[units]


def _turns(
    classes: NDArray[np.int64],
    folds: NDArray[np.int64],
    units: NDArray[np.int64],
    numbers: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Return for each sample the how-manyeth unit it belongs to of its class and fold."""
    order = np.lexsort((units, numbers, folds, classes))
    stratum_starts = _changes(classes[order], folds[order])
    unit_starts = stratum_starts | _changes(units[order])
    number = np.cumsum(unit_starts)
    first = np.maximum.accumulate(np.where(stratum_starts, number, 0))
    turns = np.empty(len(order), dtype=np.int64)
    turns[order] = number - first
    return turns


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where a row differs from the one before it in any column; the first does."""
    changed = np.ones(len(columns[0]), dtype=bool)
    if len(changed):
        changed[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return changed
