"""Patches of the colour photographs in scikit-image: which photograph is a patch from?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mml_tasks.tables import read_table, write_png, write_table

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

PHOTOS = {
    "cat": "chelsea",
    "coffee": "coffee",
    "galaxies": "hubble_deep_field",
    "retina": "retina",
    "rocket": "rocket",
    "tissue": "immunohistochemistry",
}
"""Class to the function of ``skimage.data`` that returns the photograph."""

ROWS, COLUMNS = 4, 5
GAP = 4
PATCHES = 8
SIDES = (32, 80)
_TRIES = 50
_DULL = 12.0


def create_images(target: Path, sources: Path) -> None:
    """Cut patches of unequal sizes out of every photograph.

    A photograph is divided into cells with gaps between them. A patch lies inside of one cell, and a cell is
    either for training or for testing, so that no pixel is in both; nor is one in two folds, as a cell is a
    group.
    """
    from skimage import data

    rows = []
    for seed, (name, function) in enumerate(PHOTOS.items()):
        random = np.random.default_rng(seed)
        for cell, split, area in cells(getattr(data, function)()):
            for number, patch in enumerate(_patches(area, random)):
                image = f"images/{name}_{cell}_{number}.png"
                write_png(target / image, patch)
                rows.append({"image": image, "photo": name, "cell": f"{name}_{cell}", "split": split})
    write_table(target, rows)


def create_task(dataset: Path, builder: TaskBuilder) -> None:
    """Tell the photographs apart."""
    builder.describe(
        idx_to_class=list(PHOTOS),
        summary="which photograph a patch is from",
        license="CC0-1.0 AND public domain",
        reference="van der Walt, S. et al. (2014). scikit-image: image processing in Python. PeerJ 2:e453",
    )
    for row in read_table(dataset):
        builder.add(
            sample_id=Path(row["image"]).stem,
            image=row["image"],
            label=row["photo"],
            split=row["split"],
            group=row["cell"],
        )


def cells(photo: NDArray[np.uint8]) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Yield name, split and pixels of every cell; one cell in every row is for testing."""
    height, width = photo.shape[0] // ROWS, photo.shape[1] // COLUMNS
    for row in range(ROWS):
        for column in range(COLUMNS):
            area = photo[row * height : (row + 1) * height - GAP, column * width : (column + 1) * width - GAP]
            yield f"{row}{column}", "test" if (2 * row + column) % COLUMNS == 0 else "train", area


def _patches(area: NDArray[np.uint8], random: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """Cut patches at random places that show something; an area of plain black gives fewer or none."""
    found = 0
    for _ in range(_TRIES):
        height, width = (
            int(random.integers(SIDES[0], min(SIDES[1], extent) + 1)) for extent in area.shape[:2]
        )
        top = random.integers(0, area.shape[0] - height + 1)
        left = random.integers(0, area.shape[1] - width + 1)
        patch = area[top : top + height, left : left + width]
        if patch.std() > _DULL:
            yield patch
            found += 1
        if found == PATCHES:
            return
