"""Predictions as Arrow tables: the columns of a file of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mml_core.learning.mask_png import decode_mask, encode_mask
from mml_core.learning.metrics import NO_LABEL
from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, TaskOutput

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

COLUMNS = ("sample_id", "split", "fold", "target")
SUBJECT = "subject_id"
"""Which subject a sample is of, null for none; files of older versions lack the column."""
# The last column is named by what it holds: lists of logits or values, or masks as PNG.
OUTPUT_COLUMN = {CLASSIFICATION: "logits", MULTILABEL: "logits", REGRESSION: "value", SEGMENTATION: "mask"}


def schema_of(output: TaskOutput, notes: Mapping[str, str]) -> Any:
    """Return the columns of predictions of one head, which the metadata describes, beside what is noted."""
    import pyarrow as pa

    if output.task_type == SEGMENTATION:
        target, numbers = pa.binary(), pa.binary()
    else:
        numbers = pa.list_(pa.float32())
        target = pa.int64() if output.task_type == CLASSIFICATION else numbers
    columns = [
        ("sample_id", pa.string()),
        (SUBJECT, pa.string()),
        ("split", pa.string()),
        ("fold", pa.int16()),
        ("target", target),
        (OUTPUT_COLUMN[output.task_type], numbers),
    ]
    noted = {f"mml.{name}".encode(): note.encode() for name, note in notes.items()}
    return pa.schema(columns, metadata={b"mml": _describe(output), **noted})


def to_table(predictions: Predictions, rows: slice, schema: Any) -> Any:
    """Convert some rows of predictions."""
    import pyarrow as pa

    names = list(predictions.sample_ids[rows])
    subjects, targets = predictions.subject_ids, predictions.targets
    target_type = schema.field("target").type
    columns = [
        pa.array(names, pa.string()),
        pa.nulls(len(names), pa.string()) if subjects is None else pa.array(subjects[rows], pa.string()),
        pa.repeat(pa.scalar(predictions.split, pa.string()), len(names)),
        pa.repeat(pa.scalar(predictions.fold, pa.int16()), len(names)),
        pa.nulls(len(names), target_type) if targets is None else _to_array(targets[rows], target_type),
        _to_array(predictions.outputs[rows], schema.field(-1).type),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _to_array(values: Tensor | list[Tensor], kind: Any) -> Any:
    """Convert masks (H, W), class numbers (N) or rows of numbers (N, K); a class of -1 becomes null."""
    import pyarrow as pa

    if not isinstance(values, Tensor):
        return pa.array([encode_mask(mask) for mask in values], kind)
    if pa.types.is_integer(kind):
        numbers = values.numpy()
        return pa.array(numbers, kind, mask=numbers == NO_LABEL)
    flat = values.float().reshape(len(values), -1)
    offsets = torch.arange(len(values) + 1, dtype=torch.int32) * flat.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets.numpy()), pa.array(flat.flatten().numpy()))


def masks_of(column: Any, kind: torch.dtype) -> list[Tensor]:
    """Decode a column of masks into tensors (H, W) of a type."""
    return [decode_mask(value.as_py()).to(kind) for value in column]


def rows_of(column: Any, shape: tuple[int, int]) -> Tensor:
    """Return a column of lists of numbers as float32 (N, K).

    Raises:
        ValueError: The lists are not of that length.
    """
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return torch.from_numpy(flat.astype("float32").reshape(shape))


def _describe(output: TaskOutput) -> bytes:
    import msgspec

    return msgspec.json.encode(output.to_json())
