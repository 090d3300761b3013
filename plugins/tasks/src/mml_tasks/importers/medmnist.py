"""Make a task of a MedMNIST file (`.npz` with train_images, train_labels and the same of val and test).

Labels of one column become a classification, labels of several a multilabel task; --type regression takes
numbers instead. The official validation images join the training ones, of which folds are made, and keep
their split's name in the sample table; with --official-val they are fold 0 and the training images fold 1, so
that `mml run --mode=train mode.folds=[0]` trains and validates as MedMNIST does.
"""

from __future__ import annotations

import argparse
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mml_core.api import CreationError, near_matches, sentence
from mml_tasks.importers.common import Fill, new_builder, put_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mml_core.api import TaskBuilder

SPLITS = {"train": "train", "val": "train", "test": "test"}
TYPES = ("classification", "multilabel", "regression")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("file", type=Path, help="the .npz file")
    parser.add_argument("--type", choices=TYPES, help="what is to be predicted; by the labels' shape")
    parser.add_argument("--classes", help="class names in the order of their numbers, separated by commas")
    parser.add_argument(
        "--official-val", action="store_true", help="validation images are fold 0, training ones fold 1"
    )


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    if not args.file.is_file():
        siblings = [each.name for each in args.file.parent.iterdir()] if args.file.parent.is_dir() else []
        raise CreationError(f"There is no file {args.file}.{near_matches(args.file.name, siblings)}")

    def fill(root: Path) -> TaskBuilder:
        try:
            with zipfile.ZipFile(args.file) as archive:
                return _fill(archive, args, root)
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, MemoryError) as error:
            raise CreationError(sentence(f"{args.file} is no readable .npz file: {error}")) from error

    return fill


def _fill(archive: zipfile.ZipFile, args: argparse.Namespace, root: Path) -> TaskBuilder:
    labels = {split: _labels(archive, args.file, split) for split in SPLITS if _has(archive, split)}
    if "train" not in labels:
        raise CreationError(f"{args.file} has no train_images and train_labels: it is no file of MedMNIST.")
    width = labels["train"].shape[1]
    task_type = args.type or ("classification" if width == 1 else "multilabel")
    if task_type == "classification" and width > 1:
        raise CreationError(f"{args.file} has {width} labels an image: a classification has one.")
    builder = new_builder(args, task_type, root)
    names = [name.strip() for name in args.classes.split(",")] if args.classes else []
    if task_type == "regression":
        builder.describe(target_names=names or (["value"] if width == 1 else _numbers("value", width)))
    else:
        count = max(int(each.max(initial=0)) for each in labels.values()) + 1
        builder.describe(
            idx_to_class=names or _numbers("class", count if task_type == "classification" else width)
        )
    for split, targets in labels.items():
        for number, pixels in enumerate(_images(archive, args.file, split, len(targets))):
            row = targets[number].tolist()
            builder.add(
                sample_id=f"{split}/{number:06d}",
                image=put_image(builder, pixels, f"images/{split}/{number:06d}"),
                split=SPLITS[split],
                fold=(0 if split == "val" else 1) if args.official_val and split != "test" else None,
                original_split=split,
                **_target(task_type, row),
            )
    return builder


def _has(archive: zipfile.ZipFile, split: str) -> bool:
    return {f"{split}_images.npy", f"{split}_labels.npy"} <= set(archive.namelist())


def _numbers(what: str, count: int) -> list[str]:
    return [f"{what} {number}" for number in range(count)]


def _target(task_type: str, row: list[float]) -> dict[str, Any]:
    if task_type == "classification":
        return {"label": row[0]}
    return {"labels": row} if task_type == "multilabel" else {"value": row}


def _labels(archive: zipfile.ZipFile, file: Path, split: str) -> NDArray[np.generic]:
    """Return the labels of a split, (images, labels)."""
    import numpy as np

    with archive.open(f"{split}_labels.npy") as member:
        found = np.lib.format.read_array(member, allow_pickle=False)
    if found.dtype.kind not in "biuf" or found.ndim not in (1, 2):
        raise CreationError(
            f"{file}: {split}_labels is {found.shape} of {found.dtype}, not (images, labels)."
        )
    return found.reshape(len(found), -1)


def _images(archive: zipfile.ZipFile, file: Path, split: str, expected: int) -> Iterator[NDArray[np.generic]]:
    """Yield the images of a split, (H, W) or (H, W, 3), one by one: the file may exceed the memory."""
    import numpy as np

    with ExitStack() as stack:
        member = stack.enter_context(archive.open(f"{split}_images.npy"))
        shape, fortran, dtype = _header(member)
        if dtype not in (np.uint8, np.uint16) or fortran or not _are_images(shape):
            raise CreationError(
                f"{file}: {split}_images is {shape} of {dtype}; images of (height, width) or (height, width,"
                " 3) of uint8 or uint16 are read, volumes are not."
            )
        if shape[0] != expected:
            raise CreationError(f"{file}: {split} has {shape[0]} images and labels of {expected}.")
        size = int(np.prod(shape[1:])) * dtype.itemsize
        for _ in range(shape[0]):
            data = member.read(size)
            if len(data) < size:
                raise CreationError(f"{file}: {split}_images ends early: the file is damaged.")
            yield np.frombuffer(data, dtype).reshape(shape[1:])


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, Any]:
    import numpy as np

    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


def _are_images(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
