"""Make a segmentation of a folder of images and a folder of masks.

An image and its mask have one path below their folders, but for the suffix and what --mask-suffix names.
The values in the masks (such as 0 and 255) become classes in their order; the masks are copied as PNG with
class indices. A value that is no class, named by --ignore-index, becomes 255, which losses and metrics
pass over.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.api import CreationError, near_matches
from mml_tasks.importers.common import Fill, check_pattern, copy_in, new_builder, subject_of
from mml_tasks.importers.searching import LeftOut, images_below
from mml_tasks.tables import write_png

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

_MOST_CLASSES = 64
_IGNORED = 255

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
    parser.add_argument(
        "--ignore-index", type=int, metavar="VALUE", help="what is no class in masks, often 255"
    )
    parser.add_argument("--subject", metavar="REGEX", help="what in a file's name is the subject")


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    check_pattern(args.subject)
    if (args.test_images is None) != (args.test_masks is None):
        raise CreationError("--test-images and --test-masks belong together.")

    def fill(root: Path) -> TaskBuilder:
        left_out = LeftOut()
        pairs = _pairs(args.images, args.masks, args.mask_suffix, "train", left_out)
        if args.test_images is not None:
            pairs += _pairs(args.test_images, args.test_masks, args.mask_suffix, "test", left_out)
        values = _values(pairs, args.ignore_index)
        builder = new_builder(args, "semantic_segmentation", root)
        builder.describe(
            idx_to_class=_class_names(args.classes, values),
            ignore_index=None if args.ignore_index is None else _IGNORED,
        )
        for image, mask, place, split in pairs:
            name = f"{split}/{place}"
            builder.add(
                sample_id=name,
                image=copy_in(builder, image, f"images/{name}{image.suffix.lower()}"),
                mask=_write_mask(builder, mask, values, args.ignore_index, f"masks/{name}.png"),
                split=split,
                group=subject_of(args.subject, image),
                original_split="external test" if split == "test" else None,
            )
        builder.warnings += left_out.warnings()
        return builder

    return fill


def _pairs(images: Path, masks: Path, suffix: str, split: str, left_out: LeftOut) -> list[Pair]:
    inside = images == masks
    by_place: dict[str, Path] = {}
    for path in images_below(masks, left_out):
        place = _place(path, masks)
        if suffix and place.endswith(suffix):
            _put(by_place, place.removesuffix(suffix), path, "masks")
        elif not inside:
            _put(by_place, place, path, "masks")
    images_by_place: dict[str, Path] = {}
    for path in images_below(images, LeftOut() if inside else left_out):
        place = _place(path, images)
        if not (inside and suffix and place.endswith(suffix)):
            _put(images_by_place, place, path, "images")
    for place, path in images_by_place.items():
        if place not in by_place:
            near = near_matches(place, by_place)
            raise CreationError(f"Image {path} has no mask '{place}{suffix}' in {masks}.{near}")
    left = [path for place, path in by_place.items() if place not in images_by_place]
    if left:
        raise CreationError(f"Mask {left[0]} has no image in {images}; {len(left)} masks have none.")
    if not images_by_place:
        raise CreationError(f"There are no images below {images}.")
    return [(path, by_place[place], place, split) for place, path in images_by_place.items()]


def _put(by_place: dict[str, Path], place: str, path: Path, what: str) -> None:
    other = by_place.setdefault(place, path)
    if other is not path:
        raise CreationError(f"There are two {what} for '{place}': {other} and {path}; take one of them away.")


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _values(pairs: list[Pair], ignored: int | None) -> list[int]:
    """Return all values of classes that occur in masks, sorted; 0 is the first, unless it is ignored."""
    import numpy as np

    from mml_core.api import read_mask

    values = {0} - {ignored}
    for _, mask, _, _ in pairs:
        values |= {int(value) for value in np.unique(read_mask(mask))} - {ignored}
        if len(values) > _MOST_CLASSES:
            raise CreationError(f"Mask {mask} is a picture rather than a mask: it has more than 64 values.")
    return sorted(values)


def _class_names(classes: str | None, values: list[int]) -> list[str]:
    if classes is None:
        return ["background" if value == 0 else str(value) for value in values]
    names = [name.strip() for name in classes.split(",")]
    if values == list(range(len(values))) and len(names) >= len(values):
        return names  # masks hold class indices already, and the last classes may not occur
    if len(names) != len(values):
        raise CreationError(f"--classes names {len(names)} classes, the masks have the values {values}.")
    return names


def _write_mask(builder: TaskBuilder, mask: Path, values: list[int], ignored: int | None, name: str) -> str:
    import numpy as np

    from mml_core.api import read_mask

    builder.origins[name] = mask
    found = read_mask(mask)
    classes = np.searchsorted(values, found).astype(np.uint8)
    if ignored is not None:
        classes[found == ignored] = _IGNORED
    write_png(builder.dataset_root / name, classes)
    return name
