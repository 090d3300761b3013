"""The handwritten digits of scikit-learn, and the three tasks over them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mml_tasks.tables import read_table, write_png, write_table

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

REFERENCE = (
    "Alpaydin, E. and Kaynak, C. (1998). Optical Recognition of Handwritten Digits. UCI Machine Learning "
    "Repository, https://doi.org/10.24432/C50P49"
)
_TEST_OF = 4
_SPLIT_SEED = 0


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the images (N, 8, 8), what they show (N,), and which of them are for testing.

    A quarter of every digit is for testing, always the same one, in every task over the digits.
    """
    from sklearn import datasets

    from mml_core.api import assign_folds

    found = datasets.load_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)
    values = found.target.astype(np.int64)
    quarter = assign_folds(values.tolist(), num_folds=_TEST_OF, seed=_SPLIT_SEED)
    return images, values, quarter == 0


def create_images(target: Path, sources: Path) -> None:
    """Write all digits as PNG files."""
    rows = []
    for number, (image, value, test) in enumerate(zip(*load_digits(), strict=True)):
        name = f"images/{number:04d}.png"
        write_png(target / name, image)
        rows.append({"image": name, "value": int(value), "split": "test" if test else "train"})
    write_table(target, rows)


def create_digits(dataset: Path, builder: TaskBuilder) -> None:
    """Tell the ten digits apart."""
    builder.describe(
        idx_to_class=[str(digit) for digit in range(10)],
        summary="which of ten digits was written",
        license="CC-BY-4.0",
        reference=REFERENCE,
    )
    for row in read_table(dataset):
        builder.add(**_common(row), label=int(row["value"]))


def create_parity(dataset: Path, builder: TaskBuilder) -> None:
    """Tell even digits from odd ones."""
    builder.describe(
        idx_to_class=["even", "odd"],
        summary="whether the digit that was written is even or odd",
        license="CC-BY-4.0",
        reference=REFERENCE,
    )
    for row in read_table(dataset):
        builder.add(**_common(row), label=int(row["value"]) % 2)


def create_value(dataset: Path, builder: TaskBuilder) -> None:
    """Predict the digit as a number."""
    builder.describe(
        target_names=["value"],
        summary="the digit that was written, as a number",
        license="CC-BY-4.0",
        reference=REFERENCE,
    )
    for row in read_table(dataset):
        builder.add(**_common(row), value=float(row["value"]))


def _common(row: dict[str, str]) -> dict[str, Any]:
    return {"sample_id": Path(row["image"]).stem, "image": row["image"], "split": row["split"]}
