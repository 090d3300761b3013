"""Distances of one kind between tasks, and the Parquet file they are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.api import MMLError
from mml_similarity.parquet import reading, write_table


class DistancesError(MMLError):
    """A file with distances cannot be read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Distances:
    """Distances between tasks.

    Attributes:
        distance: What the distance is called.
        tasks: Names of the tasks, T.
        values: From the task of the row to that of the column, (T, T) float64.
        symmetric: Whether both directions are the same.
        samples: How many samples of each task were looked at; 0 where none.
        options: What the distance was computed with.
    """

    distance: str
    tasks: Sequence[str]
    values: NDArray[np.float64]
    symmetric: bool
    samples: Sequence[int]
    options: dict[str, Any]

    @property
    def undirected(self) -> NDArray[np.float64]:
        """The mean of both directions, not below 0, as trees and maps need it."""
        mean: NDArray[np.float64] = np.maximum((self.values + self.values.T) / 2, 0)
        return mean


def save_distances(path: Path, *measured: Distances) -> None:
    """Write one row for each distance and ordered pair of tasks, atomically; equal ones give equal bytes.

    Columns: ``task_a``, ``task_b``, ``distance`` (its name), ``value`` (from a to b), ``symmetric``,
    ``samples_a``, ``samples_b``.
    """
    import pyarrow as pa

    table = pa.concat_tables([_rows_of(each) for each in measured]).combine_chunks()
    write_table(path, table, {each.distance: each.options for each in measured})


def _rows_of(distances: Distances) -> Any:
    import pyarrow as pa

    count = len(distances.tasks)
    rows, columns = np.divmod(np.arange(count**2), count)
    names, samples = np.array(distances.tasks, dtype=object), np.array(distances.samples, dtype=np.int64)
    return pa.table(
        {
            "task_a": pa.array(names[rows], pa.string()),
            "task_b": pa.array(names[columns], pa.string()),
            "distance": pa.array([distances.distance] * count**2, pa.string()),
            "value": pa.array(distances.values.ravel(), pa.float64()),
            "symmetric": pa.array([distances.symmetric] * count**2, pa.bool_()),
            "samples_a": pa.array(samples[rows], pa.int64()),
            "samples_b": pa.array(samples[columns], pa.int64()),
        }
    )


def load_distances(path: Path) -> Distances:
    """Read what :func:`save_distances` wrote of one distance.

    Raises:
        DistancesError: The file is missing, damaged, or something else.
    """
    with reading(path, DistancesError, "distances", "measure them again") as (table, options):
        count = round(len(table) ** 0.5)
        distance = table["distance"][0].as_py()
        return Distances(
            distance=distance,
            tasks=table["task_b"].to_pylist()[:count],
            values=table["value"].to_numpy().reshape(count, count).copy(),
            symmetric=table["symmetric"][0].as_py(),
            samples=table["samples_b"].to_pylist()[:count],
            options=options[distance],
        )
