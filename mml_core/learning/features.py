"""Features of a task's samples: what a backbone makes of its images, as one Parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.errors import MMLError
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from mml_core.storage.atomic import writing

TARGETS = {CLASSIFICATION: "label", MULTILABEL: "labels", REGRESSION: "value"}
"""Type of task → the column with its targets, named as in a sample table; other types have none."""
_META = b"mml"


class FeaturesError(MMLError):
    """Features cannot be read, or do not belong together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Features of the samples of one task.

    Attributes:
        task: Name of the task, tags included.
        task_type: Its type.
        sample_ids: Names of the samples, N.
        splits: The split of each, N.
        values: (N, D) float32, all finite.
        targets: Of a classification (N,) int64, -1 without; of a multilabel task or a regression (N, K)
            float32, NaN without; None for all others.
        classes: Names of the classes or labels; empty where there are none.
        backbone: What they were made by; equal descriptions mean that features can be compared.
    """

    task: str
    task_type: str
    sample_ids: Sequence[str]
    splits: Sequence[str]
    values: NDArray[np.float32]
    targets: NDArray[Any] | None = None
    classes: Sequence[str] = ()
    backbone: dict[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """D, the number of features of a sample."""
        return int(self.values.shape[1])


@dataclass(frozen=True, kw_only=True)
class FeaturesHeader:
    """What a file of features says of itself, without the features.

    Attributes:
        task: Name of the task.
        task_type: Its type.
        classes: Names of the classes or labels.
        backbone: What the features were made by.
        width: Features of a sample.
        samples: Number of samples.
    """

    task: str
    task_type: str
    classes: tuple[str, ...]
    backbone: dict[str, Any]
    width: int
    samples: int


def save_features(path: Path, features: Features) -> None:
    """Write features to one Parquet file, atomically; equal features give equal bytes.

    Columns: ``sample_id``, ``split``, ``features`` (D float32), and ``label``, ``labels`` or ``value`` where
    the task has such targets.

    Raises:
        FeaturesError: There are none, or some are no finite numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not len(features.values):
        raise FeaturesError(
            f"Task '{features.task}' has no samples to take features of; choose another split."
        )
    if not np.isfinite(features.values).all():
        raise FeaturesError(
            f"The backbone puts out numbers that are not finite for samples of task '{features.task}'; choose"
            " another model or other weights."
        )
    columns = {
        "sample_id": pa.array(features.sample_ids, pa.string()),
        "split": pa.array(features.splits, pa.string()),
        "features": _fixed(features.values, pa.float32()),
    }
    if features.targets is not None:
        name = TARGETS[features.task_type]
        one = features.targets.ndim == 1
        columns[name] = (
            pa.array(features.targets, pa.int64()) if one else _fixed(features.targets, pa.float32())
        )
    header = {
        "task": features.task,
        "task_type": features.task_type,
        "classes": list(features.classes),
        "backbone": features.backbone,
    }
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(header, sort_keys=True)})
    with writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_header(path: Path) -> FeaturesHeader:
    """Return what a file of features says of itself, without reading the features.

    Raises:
        FeaturesError: It is missing, damaged, or something else.
    """
    return _read(path, with_rows=False)[0]


def load_features(path: Path) -> Features:
    """Read what :func:`save_features` wrote.

    Raises:
        FeaturesError: The file is missing, damaged, or something else.
    """
    header, table = _read(path, with_rows=True)
    target = TARGETS.get(header.task_type)
    targets = None
    if target in table.column_names:
        column = table[target].combine_chunks()
        targets = column.to_numpy() if target == "label" else _rows_of(column)
    return Features(
        task=header.task,
        task_type=header.task_type,
        sample_ids=table["sample_id"].to_pylist(),
        splits=table["split"].to_pylist(),
        values=_rows_of(table["features"].combine_chunks()),
        targets=targets,
        classes=header.classes,
        backbone=header.backbone,
    )


def require_comparable(headers: Sequence[FeaturesHeader | Features]) -> None:
    """Refuse features of several tasks that different backbones have made.

    Raises:
        FeaturesError: Names two tasks, and what differs.
    """
    for other in headers[1:]:
        first = headers[0]
        if first.width != other.width:
            raise FeaturesError(
                f"Features of task '{first.task}' have {first.width} dimensions, those of task '{other.task}'"
                f" {other.width}; take features of one backbone for all tasks."
            )
        if first.backbone != other.backbone:
            keys = sorted({*first.backbone, *other.backbone})
            differing = [key for key in keys if first.backbone.get(key) != other.backbone.get(key)]
            raise FeaturesError(
                f"Features of the tasks '{first.task}' and '{other.task}' come from different backbones (they"
                f" differ in {', '.join(differing)}); take features of one backbone for all tasks."
            )


def _read(path: Path, *, with_rows: bool) -> tuple[FeaturesHeader, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            found = json.loads((schema.metadata or {})[_META])
            header = FeaturesHeader(
                task=str(found["task"]),
                task_type=str(found["task_type"]),
                classes=tuple(found["classes"]),
                backbone=dict(found["backbone"]),
                width=int(schema.field("features").type.list_size),
                samples=int(file.metadata.num_rows),
            )
            return header, file.read() if with_rows else None
    except FileNotFoundError as error:
        raise FeaturesError(f"Features {path} are not there; extract them again.") from error
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise FeaturesError(
            f"Features {path} cannot be read: {' '.join(str(error).split())}; extract them again."
        ) from error


def _fixed(rows: NDArray[Any], value_type: Any) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), value_type), rows.shape[1])


def _rows_of(column: Any) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return rows.reshape(len(column), column.type.list_size)
