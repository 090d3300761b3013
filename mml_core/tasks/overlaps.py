"""Overlaps: images and subjects that tasks, their splits or their folds have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.description import TaskDescription
from mml_core.tasks.image_hashes import RECORD, Hashes
from mml_core.tasks.near_duplicates import DISTANCE, near_images
from mml_core.tasks.samples import SPLITS

Kind = Literal["same image", "similar image", "same subject"]
TRAIN, TEST = "train", "test"
_SINGULARS = {"same image": "image", "similar image": "pair of similar images", "same subject": "subject"}
_PLURALS = {"same image": "images", "similar image": "pairs of similar images", "same subject": "subjects"}
_SHOWN = 3
_FOLDS = 1 << 20

_Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What two sides that training has to keep apart have in common.

    Attributes:
        kind: ``same image`` (equal files), ``similar image`` (they look the same), ``same subject``.
        left: Task and split of one side.
        right: Of the other; the same task and ``train`` again: two of its folds.
        count: Images, pairs of similar images, or subjects that are on both sides.
        examples: Some of them: sample ids of the left and of the right side, or of a subject twice its name.
    """

    kind: Kind
    left: tuple[str, str]
    right: tuple[str, str]
    count: int
    examples: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        noun = _PLURALS[self.kind] if self.count > 1 else _SINGULARS[self.kind]
        if self.left == self.right:
            where = f"two folds of '{self.left[0]}'"
        else:
            where = f"{self.left[1]} of '{self.left[0]}' and {self.right[1]} of '{self.right[0]}'"
        shown = ", ".join(left if left == right else f"{left} = {right}" for left, right in self.examples)
        return f"{self.count} {noun} in {where} ({shown}{', …' if self.count > len(self.examples) else ''})"


def find_overlaps(
    tasks: Sequence[TaskDescription],
    hashes: Mapping[str, Hashes] | None = None,
    *,
    distance: int = DISTANCE,
) -> list[Overlap]:
    """Find what the splits and folds of tasks have in common.

    Training and test samples of all tasks are compared, and the folds of each task; unlabelled samples are
    not trained on and are left out. What two tasks have in common in their test splits alone is no leak and
    is not told. Subjects are compared within a dataset, since another may use the same names for others.

    Args:
        tasks: Tasks with their tags.
        hashes: By name of a task the hashes of its samples, to look for similar images in those tasks.
        distance: Bits by which the hashes of similar images may differ.

    Returns:
        One overlap for each kind and pair of sides.
    """
    samples = _Samples.of(tasks)
    found = list(_overlaps(samples, "same image", samples.files, *_on_two_sides(samples, samples.files)))
    if hashes:
        similar = _similar_on_two_sides(samples, hashes, distance)
        found += _overlaps(samples, "similar image", samples.files, *similar)
    subjects = _on_two_sides(samples, samples.subjects)
    return [*found, *_overlaps(samples, "same subject", samples.subjects, *subjects)]


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """The training and test samples of all tasks.

    Attributes:
        tasks: The tasks.
        task: Position of the task, (N,).
        row: Row of its sample table, (N,).
        test: 1 in the test split, 0 in training, (N,).
        side: A number for each task, split and fold, (N,).
        files: A number for each content of an image file, -1 where it is not known, (N,).
        subjects: A number for each subject of a dataset, -1 for none, (N,).
    """

    tasks: Sequence[TaskDescription]
    task: _Rows
    row: _Rows
    test: _Rows
    side: _Rows
    files: _Rows
    subjects: _Rows

    @classmethod
    def of(cls, tasks: Sequence[TaskDescription]) -> _Samples:
        import pyarrow as pa
        import pyarrow.compute as pc

        columns: list[list[_Rows]] = [[], [], [], []]
        files, subjects = [], []
        for number, task in enumerate(tasks):
            samples = task.samples
            codes = samples.column("split").indices.to_numpy()
            rows = np.flatnonzero(codes < SPLITS.index("unlabelled"))
            test = (codes[rows] == SPLITS.index(TEST)).astype(np.int64)
            side = np.where(test, 0, samples.numpy("fold")[rows].astype(np.int64) + 2) + number * _FOLDS
            for column, values in zip(columns, (np.full(len(rows), number), rows, test, side), strict=True):
                column.append(values)
            files.append(samples.column("sha256").take(rows))
            groups = samples.column("group").take(rows).cast(pa.string())
            subjects.append(pc.binary_join_element_wise(task.dataset, groups, "\0"))
        joined = [np.concatenate([np.empty(0, dtype=np.int64), *column]) for column in columns]
        return cls(
            tasks=tasks,
            task=joined[0],
            row=joined[1],
            test=joined[2],
            side=joined[3],
            files=_numbered(files),
            subjects=_numbered(subjects),
        )

    def cell(self, column: str, position: int) -> str:
        """Return a text of a sample."""
        samples = self.tasks[self.task[position]].samples
        return samples.text(column, int(self.row[position])) or ""


def _numbered(parts: Sequence[Any]) -> _Rows:
    """Return a number for each different text, -1 for null and the empty text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.chunked_array(parts, type=pa.string()).combine_chunks()
    known = pc.if_else(pc.equal(texts, ""), None, texts)
    codes = known.dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _first_of_each(samples: _Samples, values: _Rows, rows: _Rows) -> _Rows:
    """Return, of samples with one value on one side, the first; ordered by value, then side."""
    order = rows[np.lexsort((samples.row[rows], samples.side[rows], values[rows]))]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(values[order]) != 0) | (np.diff(samples.side[order]) != 0)
    return order[first]


def _on_two_sides(samples: _Samples, values: _Rows) -> tuple[_Rows, _Rows]:
    """Return pairs of samples with one value on two sides: of each value a pair for each two sides."""
    order = _first_of_each(samples, values, np.flatnonzero(values >= 0))
    _, starts, counts = np.unique(values[order], return_index=True, return_counts=True)
    several = counts > 1
    ranges = np.stack([starts[several]] * 2, axis=1), np.stack([counts[several]] * 2, axis=1)
    left, right = _products(*ranges)
    return order[left[left < right]], order[right[left < right]]


def _similar_on_two_sides(
    samples: _Samples, hashes: Mapping[str, Hashes], distance: int
) -> tuple[_Rows, _Rows]:
    """Return pairs of samples on two sides whose files differ and whose images look the same."""
    hashed = [number for number, task in enumerate(samples.tasks) if task.name in hashes]
    rows = np.flatnonzero(np.isin(samples.task, hashed) & (samples.files >= 0))
    order = _first_of_each(samples, samples.files, rows)
    _, starts, counts = np.unique(samples.files[order], return_index=True, return_counts=True)
    records = np.empty(len(starts), dtype=RECORD)  # one for each content of a file
    for number in hashed:
        mine = samples.task[order[starts]] == number
        records[mine] = hashes[samples.tasks[number].name][samples.row[order[starts[mine]]]]
    pairs = near_images(records, distance)
    left, right = (order[side] for side in _products(starts[pairs], counts[pairs]))
    apart = samples.side[left] != samples.side[right]
    return left[apart], right[apart]


def _products(starts: _Rows, counts: _Rows) -> tuple[_Rows, _Rows]:
    """Return, for pairs of ranges (P, 2), all pairs of a member of the one and a member of the other."""
    sizes = counts[:, 0] * counts[:, 1]
    pair = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return starts[pair, 0] + within // counts[pair, 1], starts[pair, 1] + within % counts[pair, 1]


def _overlaps(samples: _Samples, kind: Kind, values: _Rows, left: _Rows, right: _Rows) -> Iterator[Overlap]:
    """Yield an overlap for each two sides of pairs of samples, the folds of a task taken together."""
    sides = samples.task * 2 + samples.test
    swapped = sides[left] > sides[right]
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    trained = (samples.test[left] == 0) | (samples.test[right] == 0)
    left, right = left[trained], right[trained]
    low, high = np.minimum(values[left], values[right]), np.maximum(values[left], values[right])
    keys = np.stack([sides[left], sides[right], low, high], axis=1)
    different, first = np.unique(keys, axis=0, return_index=True)
    starts = np.flatnonzero(np.any(np.diff(different[:, :2], axis=0, prepend=-1) != 0, axis=1))
    column = "group" if kind == "same subject" else "sample_id"
    for start, end in pairwise(np.append(starts, len(different))):
        shown = first[start : min(end, start + _SHOWN)]
        yield Overlap(
            kind=kind,
            left=_side(samples, left[first[start]]),
            right=_side(samples, right[first[start]]),
            count=int(end - start),
            examples=tuple((samples.cell(column, left[i]), samples.cell(column, right[i])) for i in shown),
        )


def _side(samples: _Samples, position: int) -> tuple[str, str]:
    return samples.tasks[samples.task[position]].name, TEST if samples.test[position] else TRAIN
