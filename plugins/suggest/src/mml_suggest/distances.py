"""Distances between tasks, from a Parquet table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mml_core.api import near_matches
from mml_suggest.options import SuggestError

COLUMNS = ("task_a", "task_b", "distance", "value")


@dataclass(frozen=True)
class Distances:
    """Distances between tasks.

    Attributes:
        values: (from, to) → distance, finite. Estimates without bias, such as KID, are below 0 now and then.
    """

    values: Mapping[tuple[str, str], float]

    def between(self, task: str, other: str) -> float | None:
        """Return how far a task is from another; None where the table does not know."""
        found = self.values.get((task, other), self.values.get((other, task)))
        return None if found is None else float(found)

    def require(self, tasks: Sequence[str], others: Sequence[str]) -> None:
        """Raise SuggestError where the distance of a task from another is unknown."""
        for task in tasks:
            for other in others:
                if task != other and self.between(task, other) is None:
                    known = sorted({name for pair in self.values for name in pair})
                    raise SuggestError(
                        f"The table of distances does not know how far '{task}' is from '{other}'; it knows"
                        f" {', '.join(known[:12])}{', …' if len(known) > 12 else ''}."
                    )


def load_distances(path: Path, name: str | None) -> Distances:
    """Read one distance of a table.

    Args:
        path: A Parquet file with the columns ``task_a``, ``task_b``, ``distance`` and ``value``.
        name: Which of its distances; None: the only one.

    Raises:
        SuggestError: It is no such table, has no such distance, a value is not finite, or a pair stands there
            twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise SuggestError(
            f"'{path}' is no table of distances ({', '.join(COLUMNS)}): {' '.join(str(error).split())[:200]}."
        ) from None
    if set(table.column_names) != set(COLUMNS):
        missing = ", ".join(each for each in COLUMNS if each not in table.column_names)
        raise SuggestError(f"'{path}' is no table of distances: it lacks {missing}.")
    rows = table.to_pylist()
    names = sorted({str(row["distance"]) for row in rows})
    if name is None and len(names) != 1:
        raise SuggestError(
            f"'{path}' holds {len(names)} distances: choose one by mode.distance={'|'.join(names)}."
        )
    wanted = names[0] if name is None else name
    if wanted not in names:
        raise SuggestError(
            f"'{path}' has no distance '{wanted}'.{near_matches(wanted, names)} It has {', '.join(names)}."
        )
    values: dict[tuple[str, str], float] = {}
    for row in rows:
        pair = (str(row["task_a"]), str(row["task_b"]))
        if row["distance"] != wanted or pair[0] == pair[1]:
            continue
        value = row["value"]
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise SuggestError(
                f"'{path}' has the {wanted} {value!r} from '{pair[0]}' to '{pair[1]}', where a finite number"
                " is needed; measure it again, or choose another by mode.distance."
            )
        if pair in values:
            raise SuggestError(
                f"'{path}' has the {wanted} from '{pair[0]}' to '{pair[1]}' twice; keep one row of each pair."
            )
        values[pair] = float(value)
    return Distances(values)
