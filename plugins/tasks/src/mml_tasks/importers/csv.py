"""Make a task of a CSV or Parquet list with one line per image.

Columns are mapped by the options. Several columns after --label, separated by commas, are several values of
a regression or several classes of a multilabel task; a multilabel task of one column holds class names
separated by --separator.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import CreationError
from mml_tasks.importers.common import SPLIT_WORDS, Fill, check_classes, copy_in, new_builder, split_of
from mml_tasks.importers.tables import Row, read_rows, require_columns

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

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
    parser.add_argument(
        "--classes",
        help="class names in the order of their indices, separated by commas; labels are either of the two",
    )
    parser.add_argument(
        "--ignore-index", type=int, metavar="VALUE", help="what is no class in masks, by convention 255"
    )


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    columns = _columns(args)

    def fill(root: Path) -> TaskBuilder:
        listed = _list(args.file, args, columns, external_test=False)
        if args.test is not None:
            listed += _list(args.test, args, columns, external_test=True)
        builder = new_builder(args, args.type, root)
        _describe(builder, args, columns, listed)
        filling = _Filling(builder, args, columns, _labels_are_indices(builder, args, columns, listed))
        for number, each in enumerate(listed):
            filling.add(each, number)
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
    if args.ignore_index is not None and args.type != "semantic_segmentation":
        raise CreationError(f"--ignore-index is of masks, which a task of type {args.type} has none of.")
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
        builder.describe(
            idx_to_class=[name.strip() for name in args.classes.split(",")], ignore_index=args.ignore_index
        )
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


def _labels_are_indices(
    builder: TaskBuilder, args: argparse.Namespace, columns: list[str], listed: list[Listed]
) -> bool:
    """Whether labels are numbers that --classes gives names to."""
    if not args.classes or args.type != "classification":
        return False
    labels = {each.row.cell(columns[0]) for each in listed} - {""}
    return all(label.isdecimal() for label in labels) and not labels <= set(builder.class_names)


@dataclass(frozen=True)
class _Filling:
    """The dataset in the making.

    Attributes:
        builder: Takes the samples.
        args: What the importer was told.
        columns: What --label names.
        by_index: Whether labels are indices of classes rather than their names.
        copied: Source to place of every file that is in the dataset already.
    """

    builder: TaskBuilder
    args: argparse.Namespace
    columns: list[str]
    by_index: bool
    copied: dict[Path, str] = field(default_factory=dict)

    def add(self, listed: Listed, number: int) -> None:
        """Copy the image of a line, and its mask where it has one, and add the sample."""
        row, args = listed.row, self.args
        original = "external test" if listed.external_test else row.text(args.split) if args.split else None
        split = "test" if listed.external_test else split_of(original) if original else "train"
        if split is None:
            raise row.error(f"'{original}' is no split: {', '.join(SPLIT_WORDS)} are")
        first = listed.image not in self.copied
        image = self._copy(listed.image, "images", listed, number)
        fold = row.number(args.fold) if args.fold and split == "train" and not listed.external_test else None
        if fold is not None and fold != int(fold):
            raise row.error(f"fold {fold} is no whole number")
        sample = {
            "sample_id": row.text(args.id) if args.id else _own_id(image, number, first=first),
            "image": image,
            "split": split,
            "fold": None if fold is None else int(fold),
            "group": row.text(args.subject) if args.subject else None,
            "original_split": original,
            **self._target(listed, number, split),
        }
        try:
            self.builder.add(**sample)
        except CreationError as error:
            raise row.error(str(error)) from error

    def _target(self, listed: Listed, number: int, split: str) -> dict[str, Any]:
        row, kind, columns = listed.row, self.args.type, self.columns
        if not columns or (split == "unlabelled" and not any(row.cell(name) for name in columns)):
            return {}
        if kind == "classification":
            label = row.text(columns[0])
            return {"label": int(label) if self.by_index else label}
        if kind == "regression":
            return {"value": [row.number(name) for name in columns]}
        if kind == "multilabel":
            if len(columns) > 1:
                return {"labels": [row.number(name) for name in columns]}
            return {"labels": _several_hot(row, columns[0], self.args.separator, self.builder.class_names)}
        mask = (self.args.root or row.file.parent) / row.text(columns[0])
        if not mask.is_file():
            raise row.error(f"there is no file {mask}")
        return {"mask": self._copy(mask, "masks", listed, number)}

    def _copy(self, source: Path, kind: str, listed: Listed, number: int) -> str:
        """Copy a file once: under its own path where that is below the root, else under the line's number."""
        if source not in self.copied:
            base = self.args.root or listed.row.file.parent
            inside = source.is_relative_to(base) and ".." not in source.relative_to(base).parts
            place = source.relative_to(base).as_posix() if inside else f"outside/{number}/{source.name}"
            folder = f"{kind}/external_test" if listed.external_test else kind
            self.copied[source] = copy_in(self.builder, source, f"{folder}/{place}")
        return self.copied[source]


def _several_hot(row: Row, column: str, separator: str, classes: list[str]) -> list[float]:
    names = {name.strip() for name in row.cell(column).split(separator) if name.strip()}
    unknown = sorted(names - set(classes))
    if unknown:
        raise row.error(f"'{unknown[0]}' is none of the classes {', '.join(classes)}")
    return [float(name in names) for name in classes]


def _own_id(image: str, number: int, *, first: bool) -> str:
    """The image's path, with a number where an earlier sample is of the same image."""
    name = image.removeprefix("images/")
    return name if first else f"{name}#{number}"
