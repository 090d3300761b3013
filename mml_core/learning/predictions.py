"""Predictions as Parquet: one row per sample, with all a later evaluation needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from mml_core.errors import MMLError
from mml_core.learning.metrics import NO_LABEL
from mml_core.learning.outputs import CLASSIFICATION, SEGMENTATION, TaskOutput
from mml_core.learning.prediction_tables import (
    COLUMNS,
    OUTPUT_COLUMN,
    SUBJECT,
    masks_of,
    rows_of,
    schema_of,
    to_table,
)
from mml_core.learning.statistics import Array

if TYPE_CHECKING:
    import pyarrow as pa
    from lightning.pytorch import Trainer

    from mml_core.data.datamodule import MMLDataModule
    from mml_core.learning.module import MMLModule

ROWS, ROWS_OF_MASKS = 65536, 256
"""How many rows are converted and written at once."""


class PredictionsError(MMLError):
    """A predictions file cannot be read or does not belong to the task."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The outputs of one model on one split.

    Attributes:
        output: The head they come from.
        fold: Validation fold of the model.
        split: ``train``, ``val`` (the fold that training may look at), ``outer`` (of nested validation: the
            fold that is held out and reported), ``test`` or ``unlabelled``.
        sample_ids: Names of the samples.
        outputs: Logits (N, classes or labels), values (N, K), or for segmentation a list of masks of class
            numbers (H, W), of the type :func:`mask_type` gives.
        targets: In the same order; None for unlabelled samples. A class of -1, or NaN elsewhere, is not
            known.
        subject_ids: Of which subject each sample is, None for those of none; None where no subjects are
            known.
    """

    output: TaskOutput
    fold: int
    split: str
    sample_ids: Sequence[str]
    outputs: Tensor | list[Tensor]
    targets: Tensor | list[Tensor] | None
    subject_ids: Sequence[str | None] | None = None


def mask_type(output: TaskOutput) -> torch.dtype:
    """Return the smallest type that holds the class numbers of masks, and what they ignore."""
    return torch.uint8 if max(output.width - 1, output.ignore_index or 0) < 256 else torch.int32


def by_name(names: Sequence[str]) -> Array:
    """Return rows by their names; those of one name in the order they have."""
    rows: Array = np.array(sorted(range(len(names)), key=lambda row: names[row]), dtype=np.int64)
    return rows


def taken(predictions: Predictions, rows: Array) -> Predictions:
    """Return the predictions of some samples, in the order given."""
    chosen = rows.tolist()
    subjects = predictions.subject_ids
    return replace(
        predictions,
        sample_ids=[predictions.sample_ids[row] for row in chosen],
        outputs=_at(predictions.outputs, chosen),
        targets=None if predictions.targets is None else _at(predictions.targets, chosen),
        subject_ids=None if subjects is None else [subjects[row] for row in chosen],
    )


def _at(values: Tensor | list[Tensor], rows: list[int]) -> Tensor | list[Tensor]:
    return values[rows] if isinstance(values, Tensor) else [values[row] for row in rows]


def relabelled(first: Predictions, second: Predictions) -> list[str]:
    """Return the samples whose targets differ; none where one has no targets. NaN is the same as NaN.

    Args:
        first: Predictions of one head.
        second: Of the same samples in the same order.
    """
    one, other = first.targets, second.targets
    if one is None or other is None:
        return []
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        equal = (one == other) | (one.isnan() & other.isnan())
        same = equal.reshape(len(equal), equal.shape[1:].numel()).all(1).tolist()
    else:
        same = [a.shape == b.shape and bool((a == b).all()) for a, b in zip(one, other, strict=True)]
    return [name for name, is_same in zip(first.sample_ids, same, strict=True) if not is_same]


def collect(
    parts: Sequence[Mapping[str, Mapping[str, Tensor]]], output: TaskOutput
) -> tuple[Tensor, Tensor | list[Tensor], Tensor | list[Tensor] | None]:
    """Join what ``trainer.predict`` returned into row numbers, outputs and targets of one task."""
    mine = [part[output.task] for part in parts if output.task in part]
    if not mine:
        return torch.empty(0, dtype=torch.int64), torch.empty(0), None
    rows = torch.cat([part["index"] for part in mine])
    with_targets = all("target" in part for part in mine)
    if output.task_type == SEGMENTATION:
        masks = [mask for part in mine for mask in part["output"]]
        truth = [mask for part in mine for mask in part["target"]] if with_targets else None
        return rows, masks, truth
    targets = torch.cat([part["target"] for part in mine]) if with_targets else None
    return rows, torch.cat([part["output"] for part in mine]), targets


def predict(
    trainer: Trainer,
    model: MMLModule,
    datamodule: MMLDataModule,
    part: Literal["train", "val", "outer", "test", "unlabelled"],
    *,
    fold: int,
) -> Predictions:
    """Predict one part of the task of a data module.

    Args:
        trainer: Predicts every batch it is given.
        model: Has a head for the task.
        datamodule: Data of the task.
        part: Which samples.
        fold: Validation fold of the model.
    """
    datamodule.predict_part = part
    model.views = datamodule.options.augmentation.test_time
    batches: Any = trainer.predict(model, datamodule=datamodule)
    description = datamodule.description
    output = model.outputs[description.name]
    rows, outputs, targets = collect(batches, output)
    samples = description.samples.take(rows.numpy())
    subjects = samples.column("group")
    return Predictions(
        output=output,
        fold=fold,
        split=part,
        sample_ids=samples.column("sample_id").to_pylist(),
        outputs=outputs,
        targets=targets,
        subject_ids=None if subjects.null_count == len(samples) else subjects.to_pylist(),
    )


def save_predictions(
    path: Path, predictions: Sequence[Predictions], *, notes: Mapping[str, str] | None = None
) -> None:
    """Write the predictions of one model, one or several splits, to one Parquet file, atomically.

    Rows are converted and written some at a time, so that a million need little more memory than they have.

    Args:
        path: The file.
        predictions: Of one head.
        notes: What is to be known of them besides: further entries of the file's metadata, ``mml.<name>``.
    """
    import pyarrow.parquet as pq

    from mml_core.storage.atomic import writing

    output = predictions[0].output
    schema = schema_of(output, notes or {})
    step = ROWS_OF_MASKS if output.task_type == SEGMENTATION else ROWS
    with writing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for each in predictions:
            for start in range(0, len(each.sample_ids), step):
                writer.write_table(to_table(each, slice(start, start + step), schema))


def load_predictions(path: Path) -> list[Predictions]:
    """Read what :func:`save_predictions` wrote, split by split.

    Raises:
        PredictionsError: If the file is missing, damaged, or something else.
    """
    import pyarrow as pa

    output, table = _read(path)
    parts: dict[str, list[pa.Table]] = {}
    start = 0
    for split, rows in groupby(table["split"].to_pylist()):
        length = len(list(rows))
        parts.setdefault(split, []).append(table.slice(start, length))
        start += length
    try:
        return [_from_table(pa.concat_tables(tables), output, split) for split, tables in parts.items()]
    except (TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise PredictionsError(
            f"Predictions {path} do not fit task '{output.task}' of type {output.task_type} with"
            f" {output.width} outputs: {' '.join(str(error).split())}; predict again."
        ) from error


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file of predictions holds, without its outputs.

    Attributes:
        output: The head they come from.
        splits: Split → number of samples, in the order of the file.
        folds: Folds of the models, sorted.
    """

    output: TaskOutput
    splits: Mapping[str, int]
    folds: tuple[int, ...]

    @property
    def fold(self) -> int:
        """Validation fold of the model, the first of several; -1 where it is of none."""
        return self.folds[0] if self.folds else -1


def contents_of(path: Path) -> Contents:
    """Look at a file of predictions without reading its outputs.

    Raises:
        PredictionsError: If the file is missing, damaged, or something else.
    """
    output, table = _read(path, ["split", "fold"])
    counts = {each["values"]: each["counts"] for each in table["split"].value_counts().to_pylist()}
    folds = [fold for fold in table["fold"].unique().to_pylist() if fold is not None]
    return Contents(output=output, splits=counts, folds=tuple(sorted(folds)))


def _read(path: Path, columns: list[str] | None = None) -> tuple[TaskOutput, Any]:
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # read_table would import the whole of pyarrow.dataset
            table = file.read(columns)
        output = TaskOutput.from_json(msgspec.json.decode((table.schema.metadata or {})[b"mml"]))
    except FileNotFoundError as error:
        raise PredictionsError(f"Predictions {path} are not there; run the subroutine predict.") from error
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise PredictionsError(
            f"Predictions {path} cannot be read: {' '.join(str(error).split())}; predict again."
        ) from error
    missing = [
        column
        for column in columns or (*COLUMNS, OUTPUT_COLUMN[output.task_type])
        if column not in table.column_names
    ]
    if missing:
        raise PredictionsError(f"Predictions {path} lack the columns {', '.join(missing)}; predict again.")
    return output, table


def _from_table(table: Any, output: TaskOutput, split: str) -> Predictions:
    count = len(table)
    given = table["target"]
    missing = given.null_count
    # One class may be unknown; a mask or a row of numbers is known of all samples or taken as of none.
    labelled = missing < max(count, 1) if output.task_type == CLASSIFICATION else missing == 0
    outputs: Tensor | list[Tensor]
    targets: Tensor | list[Tensor] | None = None
    if output.task_type == SEGMENTATION:
        outputs = masks_of(table["mask"], mask_type(output))
        targets = masks_of(given, mask_type(output)) if labelled else None
    else:
        outputs = rows_of(table[OUTPUT_COLUMN[output.task_type]], (count, output.width))
        if labelled and output.task_type == CLASSIFICATION:
            targets = torch.from_numpy(given.fill_null(NO_LABEL).to_numpy().copy())
        elif labelled:
            targets = rows_of(given, (count, output.width))
    subjects = table[SUBJECT] if SUBJECT in table.column_names else None
    if subjects is not None and subjects.null_count == count:
        subjects = None
    return Predictions(
        output=output,
        fold=int(table["fold"][0].as_py()) if count else -1,
        split=split,
        sample_ids=table["sample_id"].to_pylist(),
        outputs=outputs,
        targets=targets,
        subject_ids=None if subjects is None else subjects.to_pylist(),
    )
