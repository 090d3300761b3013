"""Make a task of a `torch.utils.data.Dataset` (or anything with a length and items): `pkg.mod:Name`.

The class or function is imported and called with the arguments that --arg gives, as JSON values or text:

    mml tasks add torch mypkg.data:Lesions --arg root=images --test-arg train=false --name lesions

An item is (image, target). Images are Pillow images, arrays (H, W) or (H, W, C), or tensors (C, H, W), of 8
or 16 bits; floating point is taken where it is an image of 8 bits scaled to 0..1, as nothing is rounded.
Targets are a class number or name, numbers of labels, values, or the mask of an image, by --type.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.api import CreationError, sentence
from mml_tasks.importers.common import Fill, new_builder, put_image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mml_core.api import TaskBuilder

TYPES = ("classification", "multilabel", "regression", "semantic_segmentation")
_SCALED = 255
_TOLERANCE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the importer is told."""
    parser.add_argument("dataset", metavar="MODULE:NAME", help="class or function, on Python's path")
    parser.add_argument("--type", choices=TYPES, default="classification", help="what is to be predicted")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="KEY=VALUE", help="what it is called with"
    )
    parser.add_argument(
        "--test-arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what it is called with once more, beside --arg, for the samples for testing",
    )
    parser.add_argument("--classes", help="class names in the order of their numbers, separated by commas")
    parser.add_argument("--targets", help="names of the values of a regression, separated by commas")
    parser.add_argument(
        "--ignore-index", type=int, metavar="VALUE", help="what is no class in masks, often 255"
    )


def read(args: argparse.Namespace) -> Fill:
    """Return what fills the dataset."""
    make = _import(args.dataset)
    given = _arguments("--arg", args.arg)
    parts = {"train": given}
    if args.test_arg:
        parts["test"] = {**given, **_arguments("--test-arg", args.test_arg)}

    def fill(root: Path) -> TaskBuilder:
        builder = new_builder(args, args.type, root)
        datasets = {split: _call(make, args.dataset, arguments) for split, arguments in parts.items()}
        if args.type == "regression":
            builder.describe(target_names=_names(args.targets))
        else:
            classes = _names(args.classes) or [
                str(name) for name in getattr(datasets["train"], "classes", ())
            ]
            if not classes:
                raise CreationError(
                    f"{args.dataset} has no attribute 'classes' with names of its classes: give --classes."
                )
            builder.describe(idx_to_class=classes, ignore_index=args.ignore_index)
        for split, dataset in datasets.items():
            add_samples(builder, dataset, split=split)
        return builder

    return fill


def add_samples(builder: TaskBuilder, dataset: Any, *, split: str = "train") -> None:
    """Write the images of a dataset into a builder's folder, and add its samples to it.

    Args:
        builder: Knows the task's type, and its classes or values.
        dataset: Has a length, and (image, target) as its items.
        split: What the samples are for.

    Raises:
        CreationError: An item is none, or does not fit the task; the message names it.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise CreationError(
            f"{type(dataset).__name__} has no length or no items: only map-style datasets are read."
        )
    for number in range(len(dataset)):
        name = f"{split}/{number:06d}"
        try:
            item = dataset[number]
        except Exception as error:  # whatever the user's own class raises
            raise CreationError(
                sentence(f"Item {number} of {split} raises {type(error).__name__}: {error}")
            ) from error
        if not isinstance(item, Sequence) or len(item) != 2:
            raise CreationError(f"Item {number} of {split} is {type(item).__name__}, not (image, target).")
        image, target = item
        try:
            place = put_image(builder, _pixels(image), f"images/{name}")
            given = _target(builder, target, name)
        except (TypeError, ValueError) as error:
            raise CreationError(sentence(f"Item {number} of {split} cannot be used: {error}")) from error
        builder.add(sample_id=name, image=place, split=split, **given)


def _pixels(image: Any) -> NDArray[np.generic]:
    """Return an image as (H, W) or (H, W, C) of uint8 or uint16, without rounding."""
    import numpy as np

    array = np.asarray(image)
    is_tensor = type(image).__module__.partition(".")[0] == "torch"
    if is_tensor and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"its image has the shape {array.shape}")
    if array.dtype.kind == "f":
        scaled = array.astype(np.float64) * _SCALED
        whole = np.rint(scaled)
        if not np.isfinite(scaled).all() or whole.min() < 0 or whole.max() > _SCALED:
            raise ValueError("its image is of floating point and not within 0 to 1")
        if np.abs(scaled - whole).max() > _TOLERANCE:
            raise ValueError(
                "its image is of floating point and no scaled image of 8 bits: leave out transforms"
            )
        return whole.astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(_SCALED)
    if array.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its image holds {array.dtype}, not uint8 or uint16")
    return array


def _target(builder: TaskBuilder, target: Any, name: str) -> dict[str, Any]:
    import numpy as np

    column = builder.target_column
    if column == "label":
        return {"label": target if isinstance(target, str) else np.asarray(target).item()}
    if column == "mask":
        mask = np.asarray(target)
        if mask.ndim == 3 and mask.shape[0] == 1:
            mask = mask[0]
        if mask.ndim != 2 or mask.dtype.kind not in "biu" or mask.min() < 0 or mask.max() > 65535:
            raise ValueError(f"its mask is {mask.shape} of {mask.dtype}, not (H, W) of class numbers")
        small = np.uint8 if mask.max() < 256 else np.uint16
        return {"mask": put_image(builder, mask.astype(small), f"masks/{name}")}
    numbers = np.asarray(target, dtype=np.float64).reshape(-1).tolist()
    return {"labels": numbers} if column == "labels" else {"value": numbers}


def _import(reference: str) -> Any:
    from importlib import import_module

    module, _, name = reference.partition(":")
    if not module or not name:
        raise CreationError(f"'{reference}' names no dataset: write it as mypkg.mymodule:MyDataset.")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise CreationError(
            sentence(f"'{reference}' cannot be imported: {error}. Is its folder in PYTHONPATH?")
        ) from error
    if not callable(found):
        raise CreationError(f"'{reference}' is {type(found).__name__}: a class or function is needed.")
    return found


def _arguments(option: str, given: Iterable[str]) -> dict[str, Any]:
    import msgspec

    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise CreationError(f"{option} '{text}' is no KEY=VALUE.")
        try:
            found[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[key] = value
    return found


def _call(make: Any, reference: str, arguments: Mapping[str, Any]) -> Any:
    try:
        return make(**arguments)
    except Exception as error:  # whatever the user's own class raises
        raise CreationError(
            sentence(f"{reference} called with {dict(arguments)} raises {type(error).__name__}: {error}")
        ) from error


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",")] if text else None
