"""Make a segmentation of images with COCO annotations: polygons or run lengths become masks.

Class 0 is the background; the categories follow in the order of their ids. Where annotations overlap, the
later one in the file is on top. Pixels of crowds (iscrowd) that are of nothing else are ignored by losses and
metrics, as COCO does, unless --crowds class says otherwise. Images without annotations have empty masks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import CreationError, near_matches, sentence
from mml_tasks.importers.coco_masks import SegmentationError, region
from mml_tasks.importers.common import Fill, check_pattern, copy_in, new_builder, subject_of
from mml_tasks.tables import write_png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mml_core.api import TaskBuilder

_IGNORED = 255


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """A file of annotations.

    Attributes:
        file: The file.
        folder: Where its images are.
        split: What they are for.
        categories: Id to name.
        images: The entries of images.
        annotations: Id of an image to its annotations, in their order.
    """

    file: Path
    folder: Path
    split: str
    categories: dict[int, str]
    images: list[dict[str, Any]]
    annotations: dict[int, list[dict[str, Any]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("annotations", type=Path, help="the JSON file of annotations")
    parser.add_argument("images", type=Path, help="folder that its file names are relative to")
    parser.add_argument("--test-annotations", type=Path, help="such a file of images for testing")
    parser.add_argument("--test-images", type=Path, help="their folder; the same by default")
    parser.add_argument("--background", default="background", help="name of class 0 (background)")
    parser.add_argument(
        "--crowds", choices=("ignore", "class"), default="ignore", help="what pixels of crowds are (ignore)"
    )
    parser.add_argument("--subject", metavar="REGEX", help="what in a file's name is the subject")


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    check_pattern(args.subject)
    parts = [_load(args.annotations, args.images, "train")]
    if args.test_annotations is not None:
        parts.append(_load(args.test_annotations, args.test_images or args.images, "test"))
        if parts[1].categories != parts[0].categories:
            raise CreationError(f"{parts[1].file} has other categories than {parts[0].file}.")
    numbers = {category: number for number, category in enumerate(sorted(parts[0].categories), start=1)}
    if not numbers:
        raise CreationError(f"{args.annotations} names no categories.")
    if len(numbers) >= _IGNORED:
        raise CreationError(f"{args.annotations} has {len(numbers)} categories: at most 254 are read.")

    def fill(root: Path) -> TaskBuilder:
        builder = new_builder(args, "semantic_segmentation", root)
        builder.describe(
            idx_to_class=[args.background, *(parts[0].categories[category] for category in numbers)],
            ignore_index=_IGNORED if args.crowds == "ignore" and any(map(_has_crowds, parts)) else None,
        )
        for part in parts:
            for image, source, mask in _masks(part, numbers, builder.ignore_index):
                name = f"{part.split}/{image['file_name']}"
                place = f"masks/{name}.png"
                write_png(root / place, mask)
                builder.origins[place] = part.file
                builder.add(
                    sample_id=name,
                    image=copy_in(builder, source, f"images/{name}"),
                    mask=place,
                    split=part.split,
                    group=subject_of(args.subject, source),
                )
        return builder

    return fill


def _load(file: Path, folder: Path, split: str) -> Annotated:
    import msgspec

    if not file.is_file():
        siblings = [each.name for each in file.parent.iterdir()] if file.parent.is_dir() else []
        raise CreationError(f"There is no file {file}.{near_matches(file.name, siblings)}")
    try:
        found = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        categories = {int(each["id"]): str(each["name"]) for each in found["categories"]}
        images = [
            {
                "id": int(each["id"]),
                "file_name": str(each["file_name"]),
                "height": int(each["height"]),
                "width": int(each["width"]),
            }
            for each in found["images"]
        ]
        annotations: dict[int, list[dict[str, Any]]] = {each["id"]: [] for each in images}
        for each in found["annotations"]:
            if each["category_id"] not in categories:
                raise CreationError(
                    f"{file}: annotation {each.get('id')} is of category {each['category_id']!r}, which is"
                    " not among its categories."
                )
            if each["image_id"] not in annotations:
                raise CreationError(
                    f"{file}: annotation {each.get('id')} is of image {each['image_id']!r}, which is not"
                    " among its images."
                )
            annotations[each["image_id"]].append(each)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise CreationError(
            sentence(
                f"{file} is no file of COCO annotations with images, annotations and categories: {error!r}"
            )
        ) from error
    if not images:
        raise CreationError(f"{file} names no images.")
    return Annotated(
        file=file, folder=folder, split=split, categories=categories, images=images, annotations=annotations
    )


def _has_crowds(part: Annotated) -> bool:
    return any(each.get("iscrowd") for found in part.annotations.values() for each in found)


def _masks(
    part: Annotated, numbers: Mapping[int, int], ignored: int | None
) -> Iterator[tuple[dict[str, Any], Path, NDArray[np.uint8]]]:
    import numpy as np

    for image in part.images:
        source = part.folder / image["file_name"]
        if not source.resolve().is_relative_to(part.folder.resolve()):
            raise CreationError(
                f"{part.file} names the image {image['file_name']!r}, outside of {part.folder}."
            )
        if not source.is_file():
            raise CreationError(f"There is no image {source}, which {part.file} names.")
        mask = np.zeros((image["height"], image["width"]), dtype=np.uint8)
        found = part.annotations[image["id"]]
        if ignored is not None:  # below everything else
            found = sorted(found, key=lambda each: not each.get("iscrowd"))
        for each in found:
            try:
                covered = region(each.get("segmentation"), *mask.shape)
            except SegmentationError as error:
                raise CreationError(
                    sentence(
                        f"{part.file}: the segmentation of annotation {each.get('id')} is wrong: {error}"
                    )
                ) from error
            is_ignored = ignored is not None and each.get("iscrowd")
            mask[covered] = ignored if is_ignored else numbers[each["category_id"]]
        yield image, source, mask
