"""Make a segmentation of a folder of images and a folder of masks.

An image and its mask have one path below their folders, but for the suffix and what --mask-suffix names.
The values in the masks (such as 0 and 255) become classes in their order; the masks are copied as PNG with
class indices.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import near_matches
from mml_core.tasks.errors import CreationError
from mml_tasks.importers.common import (
    Fill,
    check_pattern,
    copy_in,
    images_below,
    new_builder,
    subject_of,
    warn_of_ignored,
)
from mml_tasks.tables import write_png

if TYPE_CHECKING:
    from mml_core.tasks.builder import TaskBuilder

_MOST_CLASSES = 64

Pair = tuple[Path, Path, str, str]
"""Image, mask, path below the folder without suffix, split."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("masks", type=Path, help="folder of masks")
    parser.add_argument("--test-images", type=Path, help="folder of images for testing")
    parser.add_argument("--test-masks", type=Path, help="folder of their masks")
    parser.add_argument(
        "--mask-suffix", default="", help="what a mask's name has more than its image's, _mask"
    )
    parser.add_argument("--classes", help="class names in the order of mask values, separated by commas")
    parser.add_argument("--subject", metavar="REGEX", help="what in a file's name is the subject")


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    check_pattern(args.subject)
    if (args.test_images is None) != (args.test_masks is None):
        raise CreationError("--test-images and --test-masks belong together.")

    def fill(root: Path) -> TaskBuilder:
        ignored: list[Path] = []
        pairs = _pairs(args.images, args.masks, args.mask_suffix, "train", ignored)
        if args.test_images is not None:
            pairs += _pairs(args.test_images, args.test_masks, args.mask_suffix, "test", ignored)
        values = _values(pairs)
        builder = new_builder(args, "semantic_segmentation", root)
        builder.describe(idx_to_class=_class_names(args.classes, values))
        for image, mask, place, split in pairs:
            name = f"{split}/{place}"
            builder.add(
                sample_id=name,
                image=copy_in(image, root, f"images/{name}{image.suffix.lower()}"),
                mask=_write_mask(mask, values, root, f"masks/{name}.png"),
                split=split,
                group=subject_of(args.subject, image),
                original_split="external test" if split == "test" else None,
            )
        warn_of_ignored(builder, ignored)
        return builder

    return fill


def _pairs(images: Path, masks: Path, suffix: str, split: str, ignored: list[Path]) -> list[Pair]:
    by_place: dict[str, Path] = {}
    for path in images_below(masks, ignored):
        place = _place(path, masks)
        by_place[place.removesuffix(suffix) if suffix and place.endswith(suffix) else place] = path
    found = []
    inside = images == masks
    for path in images_below(images, ignored):
        place = _place(path, images)
        if inside and suffix and place.endswith(suffix):
            continue
        if place not in by_place or by_place[place] == path:
            near = near_matches(place, by_place)
            raise CreationError(f"Image {path} has no mask '{place}{suffix}' in {masks}.{near}")
        found.append((path, by_place.pop(place), place, split))
    left = [path for path in by_place.values() if not inside]
    if left:
        raise CreationError(f"Mask {left[0]} has no image in {images}; {len(left)} masks have none.")
    if not found:
        raise CreationError(f"There are no images below {images}.")
    places = [place for _, _, place, _ in found]
    twice = (
        sorted({place for place in places if places.count(place) > 1})
        if len(set(places)) < len(places)
        else []
    )
    if twice:
        raise CreationError(f"There are two images called '{twice[0]}' in {images}, of different formats.")
    return found


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _values(pairs: list[Pair]) -> list[int]:
    """Return all values that occur in masks, sorted; 0 is always the first."""
    import numpy as np

    from mml_core.tasks.images import read_mask

    values = {0}
    for _, mask, _, _ in pairs:
        values |= {int(value) for value in np.unique(read_mask(mask))}
        if len(values) > _MOST_CLASSES:
            raise CreationError(f"Mask {mask} is a picture rather than a mask: it has more than 64 values.")
    return sorted(values)


def _class_names(classes: str | None, values: list[int]) -> list[str]:
    if classes is None:
        return ["background", *(str(value) for value in values[1:])]
    names = [name.strip() for name in classes.split(",")]
    if values == list(range(len(values))) and len(names) >= len(values):
        return names  # masks hold class indices already, and the last classes may not occur
    if len(names) != len(values):
        raise CreationError(f"--classes names {len(names)} classes, the masks have the values {values}.")
    return names


def _write_mask(mask: Path, values: list[int], root: Path, name: str) -> str:
    import numpy as np

    from mml_core.tasks.images import read_mask

    write_png(root / name, np.searchsorted(values, read_mask(mask)).astype(np.uint8))
    return name
