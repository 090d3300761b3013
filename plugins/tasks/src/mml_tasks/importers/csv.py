"""Make a task of a CSV or Parquet list with one line per image.

Columns are mapped by the options. Several columns after --label, separated by commas, are several values of
a regression or several classes of a multilabel task; a multilabel task of one column holds class names
separated by --separator.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.tasks.errors import CreationError
from mml_tasks.importers.common import SPLIT_WORDS, Fill, check_classes, copy_in, new_builder, split_of
from mml_tasks.importers.tables import Row, read_rows, require_columns

if TYPE_CHECKING:
    from mml_core.tasks.builder import TaskBuilder

TYPES = ("classification", "multilabel", "regression", "semantic_segmentation", "unlabelled")


@dataclass(frozen=True)
class Listed:
    """A line of a list: where its image is, and whether the whole list is for testing."""

    row: Row
    image: Path
    external_test: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("file", type=Path, help="the list: .csv, .tsv or .parquet")
    parser.add_argument("--image", required=True, metavar="COLUMN", help="path of the image")
    parser.add_argument("--label", metavar="COLUMN[,COLUMN]", help="class, value or path of the mask")
    parser.add_argument("--type", choices=TYPES, default="classification", help="what is to be predicted")
    parser.add_argument("--subject", metavar="COLUMN", help="who is shown; folds never divide a subject")
    parser.add_argument("--split", metavar="COLUMN", help=f"the official split: {', '.join(SPLIT_WORDS)}")
    parser.add_argument("--fold", metavar="COLUMN", help="official folds of training samples, from 0")
    parser.add_argument("--id", metavar="COLUMN", help="id of the sample; its image's path by default")
    parser.add_argument("--root", type=Path, help="what paths are relative to; the list's folder by default")
    parser.add_argument("--test", type=Path, metavar="FILE", help="another such list, for testing")
    parser.add_argument("--separator", default="|", help="between the classes of one cell (|)")
    parser.add_argument("--classes", help="class names in the order of their indices, separated by commas")


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    columns = _columns(args)

    def fill(root: Path) -> TaskBuilder:
        listed = _list(args.file, args, columns, external_test=False)
        if args.test is not None:
            listed += _list(args.test, args, columns, external_test=True)
        builder = new_builder(args, args.type, root)
        _describe(builder, args, columns, listed)
        copied: dict[Path, str] = {}
        for number, each in enumerate(listed):
            _add(builder, args, columns, each, number, copied)
        return builder

    return fill


def _columns(args: argparse.Namespace) -> list[str]:
    """The columns of --label, checked against the type of task."""
    columns = [name.strip() for name in (args.label or "").split(",") if name.strip()]
    if args.type == "unlabelled":
        if columns:
            raise CreationError("--label says what to predict, and an unlabelled task predicts nothing.")
    elif not columns:
        raise CreationError(f"--label is needed: the column that a task of type {args.type} predicts.")
    elif len(columns) > 1 and args.type in ("classification", "semantic_segmentation"):
        raise CreationError(f"--label names {len(columns)} columns, a task of type {args.type} has one.")
    if args.type == "semantic_segmentation" and not args.classes:
        raise CreationError("--classes is needed: the names of the classes in the masks, background first.")
    return columns


def _list(file: Path, args: argparse.Namespace, columns: list[str], *, external_test: bool) -> list[Listed]:
    rows = read_rows(file)
    split, fold = (None, None) if external_test else (args.split, args.fold)
    named = {
        "--image": args.image,
        "--subject": args.subject,
        "--split": split,
        "--fold": fold,
        "--id": args.id,
    }
    given = [(option, name) for option, name in named.items() if name]
    require_columns(file, rows, [*given, *(("--label", name) for name in columns)])
    root = args.root or file.parent
    listed = []
    for row in rows:
        image = root / row.text(args.image)
        if not image.is_file():
            raise row.error(f"there is no file {image}")
        listed.append(Listed(row, image, external_test))
    return listed


def _describe(
    builder: TaskBuilder, args: argparse.Namespace, columns: list[str], listed: list[Listed]
) -> None:
    if args.type == "regression":
        builder.describe(target_names=columns)
    elif args.classes:
        builder.describe(idx_to_class=[name.strip() for name in args.classes.split(",")])
    elif args.type == "multilabel" and len(columns) > 1:
        builder.describe(idx_to_class=columns)
    elif args.type != "unlabelled":
        several = args.type == "multilabel"
        cells = [each.row.cell(columns[0]) for each in listed]
        names = {
            name.strip()
            for cell in cells
            for name in (cell.split(args.separator) if several else [cell])
            if name.strip()
        }
        builder.describe(idx_to_class=check_classes(args.name, names, args.file))


def _add(
    builder: TaskBuilder,
    args: argparse.Namespace,
    columns: list[str],
    listed: Listed,
    number: int,
    copied: dict[Path, str],
) -> None:
    row = listed.row
    original = "external test" if listed.external_test else row.text(args.split) if args.split else None
    split = "test" if listed.external_test else split_of(original) if original else "train"
    if split is None:
        raise row.error(f"'{original}' is no split: {', '.join(SPLIT_WORDS)} are")
    first = listed.image not in copied
    image = _copy(listed.image, builder.dataset_root, "images", args.root or row.file.parent, number, copied)
    fold = row.number(args.fold) if args.fold and split == "train" and not listed.external_test else None
    if fold is not None and fold != int(fold):
        raise row.error(f"fold {fold} is no whole number")
    try:
        builder.add(
            sample_id=row.text(args.id) if args.id else _own_id(image, number, first=first),
            image=image,
            split=split,
            fold=None if fold is None else int(fold),
            group=row.text(args.subject) if args.subject else None,
            original_split=original,
            **_target(builder, args, columns, listed, number, copied, split),
        )
    except CreationError as error:
        raise row.error(str(error)) from error


def _target(
    builder: TaskBuilder,
    args: argparse.Namespace,
    columns: list[str],
    listed: Listed,
    number: int,
    copied: dict[Path, str],
    split: str,
) -> dict[str, Any]:
    row = listed.row
    if not columns or (split == "unlabelled" and not any(row.cell(name) for name in columns)):
        return {}
    if args.type == "classification":
        return {"label": row.text(columns[0])}
    if args.type == "regression":
        return {"value": [row.number(name) for name in columns]}
    if args.type == "multilabel":
        if len(columns) > 1:
            return {"labels": [row.number(name) for name in columns]}
        return {"labels": _several_hot(row, columns[0], args.separator, builder.class_names)}
    root = args.root or row.file.parent
    mask = root / row.text(columns[0])
    if not mask.is_file():
        raise row.error(f"there is no file {mask}")
    return {"mask": _copy(mask, builder.dataset_root, "masks", root, number, copied)}


def _several_hot(row: Row, column: str, separator: str, classes: list[str]) -> list[float]:
    names = {name.strip() for name in row.cell(column).split(separator) if name.strip()}
    unknown = sorted(names - set(classes))
    if unknown:
        raise row.error(f"'{unknown[0]}' is none of the classes {', '.join(classes)}")
    return [float(name in names) for name in classes]


def _copy(source: Path, root: Path, kind: str, base: Path, number: int, copied: dict[Path, str]) -> str:
    """Copy a file once, under its own relative path where that stays below ``base``."""
    if source not in copied:
        inside = source.is_relative_to(base) and ".." not in source.relative_to(base).parts
        name = source.relative_to(base).as_posix() if inside else f"{number:06d}_{source.name}"
        copied[source] = copy_in(source, root, f"{kind}/{name}")
    return copied[source]


def _own_id(image: str, number: int, *, first: bool) -> str:
    """The image's path, with a number where an earlier sample is of the same image."""
    name = image.removeprefix("images/")
    return name if first else f"{name}#{number}"
