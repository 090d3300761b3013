"""What a file of predictions holds, without reading the predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mml_core.learning.outputs import TaskOutput
from mml_core.learning.predictions import PredictionsError


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What a file of predictions holds.

    Attributes:
        output: The head the predictions come from.
        fold: Validation fold of the model; -1 where it is none of one.
        splits: Split → number of samples.
    """

    output: TaskOutput
    fold: int
    splits: Mapping[str, int]


def overview(path: Path) -> Overview:
    """Look into a file of predictions.

    Raises:
        PredictionsError: It is missing, damaged, or something else.
    """
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=["split", "fold"])
        output = TaskOutput.from_json(msgspec.json.decode((table.schema.metadata or {})[b"mml"]))
        splits = Counter(table["split"].to_pylist())
        fold = int(table["fold"][0].as_py()) if len(table) else -1
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise PredictionsError(
            f"Predictions {path} cannot be read: {' '.join(str(error).split())}; predict again."
        ) from error
    return Overview(output=output, fold=fold, splits=dict(splits))
