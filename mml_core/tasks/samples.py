"""The samples of a task: an Arrow table that is memory-mapped and never copied to a worker."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.description import TaskType
from mml_core.tasks.errors import DamagedTaskError

ArrowArray: TypeAlias = Any
"""A ``pyarrow.Array``; pyarrow is imported where it is used, and it ships no types."""

SPLITS = ("train", "test", "unlabelled")
NO_FOLD = -1
NO_LABEL = -1
REQUIRED = ("sample_id", "image", "split", "fold", "group", "original_split", "sha256")
TRAINS = "trains"
_ENCODED = ("group", "original_split")
_WIDE = ("labels", "value")


class SampleTable:
    """The samples of a task, one row each.

    Columns of every task: ``sample_id``, ``image`` (path below the dataset's folder), ``split``, ``fold`` (in
    which a training sample validates; -1 for others), ``group`` (subject; may be null), ``original_split``
    and ``sha256`` of the image file. By task type: ``label`` (int32, -1 without), ``labels`` and ``value``
    (K float32 each, NaN without), ``mask`` (path; null without). A tag may add ``trains``: False for a
    training sample that validates in its fold, and is not trained on in the others.

    What a tag makes of a table is kept as a choice of rows and some replaced columns over the table on disk,
    so that pickling one sends its path and these, never the table.

    Args:
        path: The Arrow file.
        rows: Which rows of it, in which order; None for all.
        replaced: Columns that are other than in the file, as long as ``rows``.
    """

    def __init__(
        self,
        path: Path,
        rows: NDArray[np.int64] | None = None,
        replaced: Mapping[str, ArrowArray] | None = None,
    ) -> None:
        self.path = path
        self._rows = rows
        self._replaced = dict(replaced or {})
        self._table, self._stamp = _map_table(path)
        self._length = self._table.num_rows if rows is None else len(rows)
        self._columns: dict[str, ArrowArray] = {}

    @classmethod
    def open(cls, path: Path) -> SampleTable:
        """Map the table at ``path`` into memory; takes milliseconds however long it is.

        Raises:
            DamagedTaskError: There is none, or it is no whole Arrow file with the columns of a sample table.
        """
        return cls(Path(path).absolute())

    @staticmethod
    def write(path: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> str:
        """Write a table and return its sha256.

        Args:
            path: The file to write; not atomic by itself, a task's folder is published as a whole.
            columns: The columns of a sample table; missing ``fold``, ``group``, ``original_split`` and
                ``sha256`` are filled with -1, null, null and "".
        """
        import pyarrow as pa

        from mml_core.storage.hashing import sha256_file

        table = pa.table(_typed_columns(columns))
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, table.num_rows))
        return sha256_file(path)

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"SampleTable({str(self.path)!r}, {len(self)} samples)"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, self._stamp, self._rows, self._replaced)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        on_disk = self._table.column_names
        return [*on_disk, *(name for name in self._replaced if name not in on_disk)]

    @property
    def rows_in_file(self) -> int:
        """How many rows the file has, whatever a tag has chosen of them."""
        return int(self._table.num_rows)

    @property
    def rows_on_disk(self) -> NDArray[np.int64]:
        """For each sample its row in the file, which is its row in a preprocessed store too."""
        return np.arange(self._length, dtype=np.int64) if self._rows is None else self._rows

    def row_on_disk(self, index: int) -> int:
        """The row in the file of one sample."""
        return index if self._rows is None else int(self._rows[index])

    def column(self, name: str) -> ArrowArray:
        """A column as Arrow array, without a copy where the table is as on disk.

        Raises:
            KeyError: The table has no such column.
        """
        if name not in self._columns:
            self._columns[name] = self._load(name)
        return self._columns[name]

    def numpy(self, name: str) -> NDArray[Any]:
        """A column of numbers as read-only array (N,), or (N, K) where each sample has K of them."""
        import pyarrow as pa

        column = self.column(name)
        if pa.types.is_fixed_size_list(column.type):
            flat = column.flatten().to_numpy(zero_copy_only=False)
            return np.asarray(flat).reshape(len(column), column.type.list_size)
        return np.asarray(column.to_numpy(zero_copy_only=False))

    def text(self, name: str, index: int) -> str | None:
        """One cell of a column of texts."""
        value = self.column(name)[index].as_py()
        return None if value is None else str(value)

    def row(self, index: int) -> dict[str, Any]:
        """All cells of one sample."""
        return {name: self.column(name)[index].as_py() for name in self.column_names}

    def indices(
        self, split: str = "train", *, fold: int | None = None, part: str | None = None
    ) -> NDArray[np.int64]:
        """The positions of the samples of a split, or of a part of a cross-validation.

        Args:
            split: ``train``, ``test`` or ``unlabelled``.
            fold: The fold that validates.
            part: ``train`` for the training samples outside ``fold`` (all of them where it is None) that are
                trained on, ``val`` for those in it, ``test`` for the test split; None for the whole split.
        """
        wanted = "train" if part in ("train", "val") else part or split
        if wanted not in SPLITS or (part is not None and split != wanted):
            raise ValueError(f"no samples are both of split {split!r} and of part {part!r}")
        if part == "val" and fold is None:
            raise ValueError("validation samples are those of a fold; none was given")
        chosen = self.column("split").indices.to_numpy() == SPLITS.index(wanted)
        if part == "val":
            chosen &= self.numpy("fold") == fold
        elif part == "train" and fold is not None:
            chosen &= self.numpy("fold") != fold
        if part == "train" and TRAINS in self._replaced:
            chosen &= self.numpy(TRAINS)
        return np.flatnonzero(chosen).astype(np.int64, copy=False)

    def take(self, indices: NDArray[np.integer[Any]] | Sequence[int]) -> SampleTable:
        """Return a table of these samples in this order; one may occur more than once."""
        chosen = np.asarray(indices, dtype=np.int64)
        replaced = {name: array.take(chosen) for name, array in self._replaced.items()}
        return SampleTable(self.path, self.rows_on_disk[chosen], replaced)

    def with_columns(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> SampleTable:
        """Return the same samples with some columns replaced or added.

        Types stay as they are on disk; ``labels`` and ``value`` may get another width.
        """
        import pyarrow as pa

        replaced = dict(self._replaced)
        for name, values in columns.items():
            if len(values) != len(self):
                raise ValueError(f"column {name!r} has {len(values)} values for {len(self)} samples")
            if name == "split":
                replaced[name] = _encode_splits(values)
            elif name in _WIDE:
                replaced[name] = _encode_rows(values)
            elif name == TRAINS:
                replaced[name] = pa.array(values, type=pa.bool_())
            else:
                type_on_disk = self._table.schema.field(name).type
                plain = type_on_disk.value_type if pa.types.is_dictionary(type_on_disk) else type_on_disk
                replaced[name] = pa.array(values, type=plain)
        return SampleTable(self.path, self._rows, replaced)

    def count_splits(self) -> dict[str, int]:
        """Number of samples of each split that has some; ``train`` and ``test`` are always named."""
        counts = np.bincount(self.column("split").indices.to_numpy(), minlength=len(SPLITS))
        return {
            name: int(count)
            for name, count in zip(SPLITS, counts, strict=True)
            if count or name != "unlabelled"
        }

    def count_classes(self, task_type: TaskType, num_classes: int) -> dict[str, int] | None:
        """Samples of each class that are trained on; None where a sample is not of classes."""
        train = self.indices("train", part="train")
        if task_type is TaskType.CLASSIFICATION:
            counts = np.bincount(self.numpy("label")[train], minlength=num_classes)
        elif task_type is TaskType.MULTILABEL:
            counts = (self.numpy("labels")[train] > 0.5).sum(axis=0)
        else:
            return None
        return {str(index): int(count) for index, count in enumerate(counts)}

    def _load(self, name: str) -> ArrowArray:
        if name in self._replaced:
            return self._replaced[name]
        column = self._table.column(name)  # KeyError where there is none
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        return array if self._rows is None else array.take(self._rows)


def _reopen(
    path: Path,
    stamp: tuple[int, int],
    rows: NDArray[np.int64] | None,
    replaced: Mapping[str, ArrowArray],
) -> SampleTable:
    table = SampleTable(path, rows, replaced)
    if table._stamp != stamp:
        raise DamagedTaskError(f"The sample table {path} was replaced while it was in use: start again.")
    return table


def _map_table(path: Path) -> tuple[Any, tuple[int, int]]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        status = os.stat(path)  # noqa: PTH116 - the same call for str and Path, without building one
    except FileNotFoundError as error:
        raise DamagedTaskError(f"The sample table {path} is missing: create the task again.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedTaskError(
            f"The sample table {path} is damaged ({error}): create the task again."
        ) from error
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise DamagedTaskError(f"The sample table {path} lacks the columns {missing}: create the task again.")
    return table, (status.st_size, status.st_mtime_ns)


def _typed_columns(columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> dict[str, ArrowArray]:
    import pyarrow as pa

    length = len(columns["sample_id"])
    full: dict[str, Any] = {
        "fold": np.full(length, NO_FOLD, dtype=np.int16),
        "group": [None] * length,
        "original_split": [None] * length,
        "sha256": [""] * length,
        **columns,
    }
    typed: dict[str, ArrowArray] = {}
    for name, values in full.items():
        if name == "split":
            typed[name] = _encode_splits(values)
        elif name == "fold":
            typed[name] = pa.array(values, type=pa.int16())
        elif name == "label":
            typed[name] = pa.array(values, type=pa.int32())
        elif name in _WIDE:
            typed[name] = _encode_rows(values)
        else:
            text = pa.array(values, type=pa.string())
            typed[name] = text.dictionary_encode() if name in _ENCODED else text
    order = [*REQUIRED, *(name for name in typed if name not in REQUIRED)]
    return {name: typed[name] for name in order}


def _encode_rows(values: Sequence[Any] | NDArray[Any]) -> ArrowArray:
    import pyarrow as pa

    matrix = np.ascontiguousarray(values, dtype=np.float32).reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), max(1, matrix.shape[1]))


def _encode_splits(values: Sequence[str] | NDArray[Any]) -> ArrowArray:
    import pyarrow as pa

    codes = pa.array([SPLITS.index(value) for value in values], type=pa.int8())
    return pa.DictionaryArray.from_arrays(codes, pa.array(SPLITS))
