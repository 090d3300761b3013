"""Leakage: one image or subject on both sides of what training has to keep apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.builder import NewSample
from mml_core.tasks.inspection import Inspection

_SHOWN = 5


def find_leakage(
    name: str, samples: Sequence[NewSample], found: Sequence[Inspection], folds: NDArray[np.int16]
) -> list[str]:
    """Return one line for each way in which the samples of a task leak.

    Args:
        name: The task, for the lines.
        samples: Its samples.
        found: What their images amount to.
        folds: Their folds, of which those of training samples count.
    """

    def split(row: int) -> str | None:
        return samples[row].split if samples[row].split in ("train", "test") else None

    def fold(row: int) -> str | None:
        return f"fold {folds[row]}" if samples[row].split == "train" else None

    shared = {
        "images": _rows_by(each.sha256 for each in found),
        "groups": _rows_by(sample.group for sample in samples),
    }
    lines = []
    for what, rows_of_each in shared.items():
        for between, side in (("both in training and test", split), ("in more than one fold", fold)):
            leaks = list(_leaks(rows_of_each, side, samples))
            if leaks:
                shown = "; ".join(leaks[:_SHOWN]) + ("; …" if len(leaks) > _SHOWN else "")
                lines.append(f"Task '{name}': {len(leaks)} {what} are {between}: {shown}.")
    return lines


def _rows_by(values: Iterable[Hashable | None]) -> list[list[int]]:
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, value in enumerate(values):
        if value is not None:
            rows[value].append(row)
    return list(rows.values())


def _leaks(
    rows_of_each: Iterable[list[int]], side: Callable[[int], str | None], samples: Sequence[NewSample]
) -> Iterator[str]:
    """Yield, where the rows of one value are on several sides, the first sample of two of them."""
    for rows in rows_of_each:
        first: dict[str, int] = {}
        for row in rows:
            where = side(row)
            if where is not None:
                first.setdefault(where, row)
        if len(first) > 1:
            yield " = ".join(f"{where} '{samples[row].sample_id}'" for where, row in list(first.items())[:2])
