"""The small table and the PNG files that creators and importers of this package write into datasets."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TABLE = "samples.csv"


def write_table(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one line per sample, with the keys of the first as column names."""
    with (folder / TABLE).open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(folder: Path) -> Iterator[dict[str, str]]:
    """Read what `write_table` wrote."""
    with (folder / TABLE).open(newline="") as file:
        yield from csv.DictReader(file)


def write_png(path: Path, image: NDArray[np.uint8 | np.uint16]) -> None:
    """Write a grey (H, W) image, or a colour (H, W, 3) one of uint8."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format="PNG")
