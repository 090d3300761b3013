"""What all importers share: finding images, naming splits, copying files into the dataset."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import near_matches
from mml_core.tasks.errors import CreationError

if TYPE_CHECKING:
    from mml_core.tasks.builder import TaskBuilder

Fill = Callable[[Path], "TaskBuilder"]
"""Fills an empty dataset folder, and returns what describes its samples."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy")
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

_SHOWN = 3


def new_builder(args: argparse.Namespace, task_type: str, dataset_root: Path) -> TaskBuilder:
    """Return a builder with what every importer is told of the task."""
    from mml_core.tasks.builder import TaskBuilder

    builder = TaskBuilder(name=args.name, task_type=task_type, dataset=args.name, dataset_root=dataset_root)
    builder.describe(
        keywords=[word.strip() for word in args.keywords.split(",") if word.strip()],
        license=args.license,
        reference=args.reference,
    )
    return builder


def images_below(folder: Path, ignored: list[Path] | None = None) -> list[Path]:
    """Return all images below a folder, sorted; other files that are not hidden go to ``ignored``."""
    if not folder.is_dir():
        candidates = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise CreationError(f"There is no folder {folder}.{near_matches(folder.name, candidates)}")
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix.lower() in SUFFIXES:
            found.append(path)
        elif ignored is not None:
            ignored.append(path)
    return found


def split_of(word: str) -> str | None:
    """Return our split for a publisher's word; None where it is no such word."""
    return SPLIT_WORDS.get(word.strip().casefold())


def copy_in(source: Path, root: Path, name: str) -> str:
    """Copy a file into a dataset and return its path there."""
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError as error:
        raise CreationError(f"There is no file {source}.") from error
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


def warn_of_ignored(builder: TaskBuilder, ignored: list[Path]) -> None:
    """Name files that were left out because they are no images."""
    if ignored:
        shown = ", ".join(path.name for path in ignored[:_SHOWN]) + (", …" if len(ignored) > _SHOWN else "")
        builder.warnings.append(f"Left out {len(ignored)} files that are no images: {shown}.")


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
