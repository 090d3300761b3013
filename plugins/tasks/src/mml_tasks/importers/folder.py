"""Make a classification of a folder of images, one folder per class.

Official splits are kept where the classes lie in folders called train, val and test; the validation images
join the training ones, of which folds are made, and keep their split's name in the sample table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.api import CreationError
from mml_tasks.importers.common import (
    Fill,
    check_classes,
    check_pattern,
    copy_in,
    new_builder,
    split_of,
    subject_of,
)
from mml_tasks.importers.searching import LeftOut, images_below

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder


@dataclass(frozen=True)
class Found:
    """An image, with its place below the folder it was found in."""

    path: Path
    place: str
    label: str
    split: str
    original_split: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("path", type=Path, help="CLASS/IMAGE, or SPLIT/CLASS/IMAGE")
    parser.add_argument("--test", type=Path, help="another folder CLASS/IMAGE, for testing")
    parser.add_argument(
        "--subject", metavar="REGEX", help="what in a file's name is the subject, such as '^(p[0-9]+)_'"
    )


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    check_pattern(args.subject)

    def fill(root: Path) -> TaskBuilder:
        left_out = LeftOut()
        builder = new_builder(args, "classification", root)
        found = list(_find(args.path, left_out, builder))
        if args.test is not None:
            found += [_outside(each) for each in _find(args.test, left_out, builder)]
        if not found:
            raise CreationError(f"There are no images below {args.path}.")
        builder.describe(idx_to_class=check_classes(args.name, (each.label for each in found), args.path))
        for each in found:
            image = copy_in(builder, each.path, f"images/{each.place}")
            builder.add(
                sample_id=each.place,
                image=image,
                label=each.label,
                split=each.split,
                group=subject_of(args.subject, each.path),
                original_split=each.original_split,
            )
        builder.warnings += left_out.warnings()
        return builder

    return fill


def _find(folder: Path, left_out: LeftOut, builder: TaskBuilder) -> Iterator[Found]:
    images = images_below(folder, left_out)
    by_split = _are_splits({path.relative_to(folder).parts[0] for path in images}, folder, builder)
    depth = 3 if by_split else 2
    for path in images:
        parts = path.relative_to(folder).parts
        if len(parts) < depth:
            layout = "SPLIT/CLASS/IMAGE" if by_split else "CLASS/IMAGE"
            raise CreationError(f"{path} lies in no folder of a class: {layout} is needed below {folder}.")
        split = split_of(parts[0]) if by_split else "train"
        yield Found(path, "/".join(parts), parts[depth - 2], split or "train", parts[0] if by_split else None)


def _are_splits(names: set[str], folder: Path, builder: TaskBuilder) -> bool:
    """Whether the entries of a folder are splits rather than classes; a mixture of both is refused."""
    splits = sorted(name for name in names if split_of(name) is not None)
    if len(splits) == len(names):
        return bool(names)
    others = sorted(names - set(splits))
    if len(splits) > 1:
        raise CreationError(
            f"{folder} holds the splits {', '.join(splits)}, and beside them {', '.join(others)}: move that "
            "away, or rename the splits where they are classes."
        )
    if splits:
        builder.warnings.append(
            f"'{splits[0]}' in {folder} was taken for a class, as {', '.join(others)} are."
        )
    return False


def _outside(found: Found) -> Found:
    return Found(found.path, f"external_test/{found.place}", found.label, "test", "external test")
