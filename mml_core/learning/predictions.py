"""Predictions as Parquet: one row per sample, with all a later evaluation needs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from mml_core.errors import MMLError
from mml_core.learning.evaluation import evaluate as evaluate
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput

if TYPE_CHECKING:
    import pyarrow as pa
    from lightning.pytorch import Trainer

    from mml_core.data.datamodule import MMLDataModule
    from mml_core.learning.module import MMLModule

COLUMNS = ("sample_id", "split", "fold", "target")
# The last column is named by what it holds: lists of logits or values, or masks as PNG.
OUTPUT_COLUMN = {CLASSIFICATION: "logits", MULTILABEL: "logits", REGRESSION: "value", SEGMENTATION: "mask"}


class PredictionsError(MMLError):
    """A predictions file cannot be read or does not belong to the task."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The outputs of one model on one split.

    Attributes:
        output: The head they come from.
        fold: Validation fold of the model.
        split: ``val`` or ``test``.
        sample_ids: Names of the samples.
        outputs: Logits (N, classes or labels), values (N, K), or for segmentation a list of masks of class
            numbers (H, W), of the type :func:`mask_type` gives.
        targets: In the same order; None for unlabelled samples.
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


def mask_type(classes: int) -> torch.dtype:
    """Return the type that masks of so many classes are kept in."""
    return torch.uint8 if classes <= 256 else torch.int32


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
    part: Literal["train", "val", "test", "unlabelled"],
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
    batches: Any = trainer.predict(model, datamodule=datamodule)
    description = datamodule.description
    output = model.outputs[description.name]
    rows, outputs, targets = collect(batches, output)
    names = description.samples.take(rows.numpy()).column("sample_id").to_pylist()
    return Predictions(
        output=output, fold=fold, split=part, sample_ids=names, outputs=outputs, targets=targets
    )


def save_predictions(path: Path, predictions: Sequence[Predictions]) -> None:
    """Write the predictions of one model, one or several splits, to one Parquet file, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mml_core.storage.atomic import writing

    output = predictions[0].output
    table = pa.concat_tables([_to_table(each) for each in predictions])
    described = {b"mml": _describe(output)}
    with writing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(described), temporary, compression="zstd")


def load_predictions(path: Path) -> list[Predictions]:
    """Read what :func:`save_predictions` wrote, split by split.

    Raises:
        PredictionsError: If the file is missing, damaged, or something else.
    """
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # read_table would import the whole of pyarrow.dataset
            table = file.read()
        output = TaskOutput.from_json(msgspec.json.decode((table.schema.metadata or {})[b"mml"]))
    except FileNotFoundError as error:
        raise PredictionsError(f"Predictions {path} are not there; run the subroutine predict.") from error
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise PredictionsError(
            f"Predictions {path} cannot be read: {' '.join(str(error).split())}; predict again."
        ) from error
    missing = [
        column for column in (*COLUMNS, OUTPUT_COLUMN[output.task_type]) if column not in table.column_names
    ]
    if missing:
        raise PredictionsError(f"Predictions {path} lack the columns {', '.join(missing)}; predict again.")
    parts: dict[str, list[pa.Table]] = {}
    start = 0
    for split, rows in groupby(table["split"].to_pylist()):
        length = len(list(rows))
        parts.setdefault(split, []).append(table.slice(start, length))
        start += length
    return [_from_table(pa.concat_tables(tables), output, split) for split, tables in parts.items()]


def _to_table(predictions: Predictions) -> pa.Table:
    import pyarrow as pa

    count = len(predictions.sample_ids)
    task_type = predictions.output.task_type
    float_list = pa.list_(pa.float32())
    outputs: Any
    targets: Any
    target_type: Any
    if task_type == SEGMENTATION:
        outputs = pa.array([_to_png(mask) for mask in predictions.outputs], pa.binary())
        given = predictions.targets
        targets = [None] * count if given is None else [_to_png(mask) for mask in given]
        target_type = pa.binary()
    else:
        assert isinstance(predictions.outputs, Tensor)
        outputs = pa.array(list(predictions.outputs.float().numpy()), float_list)
        target_type = pa.int64() if task_type == CLASSIFICATION else float_list
        if predictions.targets is None:
            targets = [None] * count
        else:
            assert isinstance(predictions.targets, Tensor)
            known = predictions.targets.numpy()
            targets = known if task_type == CLASSIFICATION else list(known.astype("float32"))
    return pa.table(
        {
            "sample_id": pa.array(predictions.sample_ids, pa.string()),
            "split": pa.array([predictions.split] * count, pa.string()),
            "fold": pa.array([predictions.fold] * count, pa.int16()),
            "target": pa.array(targets, target_type),
            OUTPUT_COLUMN[task_type]: outputs,
        }
    )


def _from_table(table: Any, output: TaskOutput, split: str) -> Predictions:
    import numpy as np

    fold = int(table["fold"][0].as_py()) if len(table) else -1
    labelled = table["target"].null_count == 0
    column = table[OUTPUT_COLUMN[output.task_type]]
    outputs: Tensor | list[Tensor]
    targets: Tensor | list[Tensor] | None = None
    if output.task_type == SEGMENTATION:
        kept = mask_type(output.width)
        outputs = [_from_png(data).to(kept) for data in column.to_pylist()]
        if labelled:
            targets = [_from_png(data).to(kept) for data in table["target"].to_pylist()]
    else:
        shape = (len(table), output.width)
        flat = column.combine_chunks().flatten()
        outputs = torch.from_numpy(np.array(flat, dtype=np.float32)).reshape(shape)
        if labelled and output.task_type == CLASSIFICATION:
            targets = torch.from_numpy(np.array(table["target"].combine_chunks(), dtype=np.int64))
        elif labelled:
            values = np.array(table["target"].combine_chunks().flatten(), dtype=np.float32)
            targets = torch.from_numpy(values).reshape(shape)
    return Predictions(
        output=output,
        fold=fold,
        split=split,
        sample_ids=table["sample_id"].to_pylist(),
        outputs=outputs,
        targets=targets,
    )


def _describe(output: TaskOutput) -> bytes:
    import msgspec

    return msgspec.json.encode(output.to_json())


def _to_png(mask: Tensor) -> bytes:
    from PIL import Image

    numbers = mask.numpy()
    image = Image.fromarray(numbers.astype("uint8" if numbers.max(initial=0) < 256 else "uint16"))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _from_png(data: bytes) -> Tensor:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.asarray(image).astype(np.int32))
