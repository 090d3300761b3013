"""Metrics as tables: the history of a fit, scores of a model, and their summary over folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value of one metric.

    Attributes:
        task: Name of the task.
        fold: Validation fold of the model.
        split: ``train``, ``val`` or ``test``.
        epoch: Epoch of the fit, from 0; None for a score of saved predictions.
        metric: Name of the metric.
        value: Its value.
        class_name: The class, label or regression value it is of; None for all.
        low: Lower bound of its confidence interval, NaN where that is not defined; None where none was
            computed.
        high: Upper bound.
        confidence: Of the interval, between 0 and 1.
    """

    task: str
    fold: int
    split: str
    epoch: int | None = None
    metric: str
    value: float
    class_name: str | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


def save_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write scores as Parquet, one row each, atomically."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mml_core.storage.atomic import writing

    columns: list[tuple[str, Any]] = [
        ("task", pa.string()),
        ("fold", pa.int16()),
        ("split", pa.string()),
        ("epoch", pa.int32()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("class_name", pa.string()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("confidence", pa.float64()),
    ]
    schema = pa.schema(columns)
    table = pa.Table.from_pylist([asdict(score) for score in scores], schema=schema)
    with writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def summarise(folds: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float, int]]:
    """Return mean, standard deviation and number of folds of each metric; undefined values do not count.

    The deviation is that of a sample (n - 1), NaN for a single fold.
    """
    values: dict[str, list[float]] = {}
    for scores in folds:
        for metric, value in scores.items():
            known = values.setdefault(metric, [])
            if math.isfinite(value):
                known.append(value)
    return {metric: _mean_and_std(known) for metric, known in values.items()}


def _mean_and_std(values: Sequence[float]) -> tuple[float, float, int]:
    count = len(values)
    if not count:
        return math.nan, math.nan, 0
    mean = math.fsum(values) / count
    if count == 1:
        return mean, math.nan, 1
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1)), count
