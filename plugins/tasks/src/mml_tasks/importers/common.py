"""What all importers share: naming splits, copying files into the dataset, classes and subjects."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import CreationError
from mml_tasks.tables import write_png

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

Fill = Callable[[Path], "TaskBuilder"]
"""Fills an empty dataset folder, and returns what describes its samples."""

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "train",
    "valid": "train",
    "validation": "train",
    "dev": "train",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}
"""What publishers call their splits, and ours; validation joins the samples that folds are made of."""


def new_builder(args: argparse.Namespace, task_type: str, dataset_root: Path) -> TaskBuilder:
    """Return a builder with what every importer is told of the task."""
    from mml_core.api import TaskBuilder

    builder = TaskBuilder(name=args.name, task_type=task_type, dataset=args.name, dataset_root=dataset_root)
    builder.describe(
        keywords=[word.strip() for word in args.keywords.split(",") if word.strip()],
        license=args.license,
        reference=args.reference,
    )
    return builder


def split_of(word: str) -> str | None:
    """Return our split for a publisher's word; None where it is no such word."""
    return SPLIT_WORDS.get(word.strip().casefold())


def copy_in(builder: TaskBuilder, source: Path, name: str) -> str:
    """Copy a file into the builder's dataset, where nothing may have its name, and return its path there."""
    target = builder.dataset_root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_file():
        raise CreationError(f"There is no file {source}.")
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        other = builder.origins.get(name, name)
        raise CreationError(f"{source} and {other} would both become {name}: rename one of them.") from None
    if not os.access(source, os.R_OK):
        raise CreationError(f"{source} cannot be read: permission denied.")
    shutil.copyfile(source, target)
    builder.origins[name] = source
    return name


def check_classes(name: str, classes: Iterable[str], origin: Path) -> list[str]:
    """Return class names, sorted as people sort; refuse fewer than two."""
    found = sorted(set(classes), key=natural_order)
    if len(found) < 2:
        raise CreationError(
            f"Task '{name}' would have {len(found)} class ({', '.join(found) or 'none'}): {origin} has to "
            "hold at least two."
        )
    return found


def natural_order(text: str) -> list[tuple[int, int, str]]:
    """Sort key that puts ``grade 2`` before ``grade 10``."""
    return [
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece.casefold())
        for piece in re.split(r"(\d+)", text)
        if piece
    ]


def subject_of(pattern: str | None, path: Path) -> str | None:
    """Return the subject that a pattern finds in a file's name; its first group, where it has one."""
    if pattern is None:
        return None
    match = re.search(pattern, path.stem)
    if match is None:
        raise CreationError(f"--subject '{pattern}' finds nothing in the name of {path}.")
    return match[1] if match.re.groups else match[0]


def check_pattern(pattern: str | None) -> None:
    """Refuse a ``--subject`` that is no regular expression."""
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise CreationError(f"--subject '{pattern}' is no regular expression: {error}.") from error


def put_image(builder: TaskBuilder, pixels: Any, name: str) -> str:
    """Write an array into the builder's dataset, without loss, and return its path there.

    Args:
        builder: Of the dataset.
        pixels: (H, W), (H, W, 1) or (H, W, C) of uint8 or uint16; PNG where it holds that, npy else.
        name: The path without suffix.
    """
    import numpy as np

    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    as_png = array.ndim == 2 or (array.dtype == np.uint8 and array.shape[2] == 3)
    place = f"{name}.png" if as_png else f"{name}.npy"
    target = builder.dataset_root / place
    if as_png:
        write_png(target, array)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, array, allow_pickle=False)
    return place
