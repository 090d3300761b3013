"""Tiny tasks of each type: a few drawn images, enough to train, predict and test on in a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.plugins import TASK_TYPES, DatasetSpec, TaskSpec

if TYPE_CHECKING:
    from mml_core.tasks.builder import TaskBuilder
    from mml_core.tasks.description import TaskDescription

SAMPLES = 16
SIZE = 16
_HERE = "mml_core.testing.tiny_tasks"


class UnknownTypeError(MMLError):
    """There is no task type of that name."""


def create_tiny_task(data: Path, task_type: str, *, channels: int = 1, folds: int = 2) -> TaskDescription:
    """Create the tiny task of a type, as ``mml run --mode=create`` does, and return it.

    It has 16 images of 16x16 pixels: bright discs and dark squares. 12 are for training, 4 for testing; of an
    ``unlabelled`` task all are without targets. Its name is ``tiny_<task_type>``, with 3 channels
    ``tiny_<task_type>_rgb``. One that is there is kept.

    Args:
        data: The data folder.
        task_type: ``classification`` (2 classes), ``multilabel`` (2 labels), ``regression`` (1 value),
            ``semantic_segmentation`` (background and shape) or ``unlabelled``.
        channels: 1 or 3.
        folds: Folds of the training split.

    Raises:
        UnknownTypeError: There is no such type.
    """
    from mml_core.tasks.creation import create_task
    from mml_core.tasks.datasets import create_dataset
    from mml_core.tasks.finishing import CreationOptions
    from mml_core.tasks.index import TaskIndex

    if task_type not in TASK_TYPES:
        raise UnknownTypeError(f"There is no task type {task_type!r}; write one of {', '.join(TASK_TYPES)}.")
    colour = "_rgb" if channels == 3 else ""
    dataset = DatasetSpec(
        name=f"tiny_shapes{colour}",
        create=f"{_HERE}:draw{colour}",
        license="CC0-1.0",
        summary="Drawn shapes.",
    )
    create_dataset(dataset, data)
    name = f"tiny_{task_type}{colour}"
    task = TaskSpec(name=name, dataset=dataset.name, create=f"{_HERE}:describe", task_type=task_type)
    create_task(task, data, CreationOptions(num_folds=folds))
    return TaskIndex(data).get(name)


def draw(target: Path, sources: Path) -> None:
    """Draw grey images, and their masks."""
    _draw(target, "L")


def draw_rgb(target: Path, sources: Path) -> None:
    """Draw colour images, and their masks."""
    _draw(target, "RGB")


def describe(dataset: Path, builder: TaskBuilder) -> None:
    """Add every image with the target that the task's type has."""
    task_type = str(builder.task_type.value)
    names = {
        "classification": ("disc", "square"),
        "multilabel": ("round", "left"),
        "semantic_segmentation": ("background", "shape"),
    }
    builder.describe(idx_to_class=names.get(task_type), license="CC0-1.0", reference="drawn by mml")
    for number in range(SAMPLES):
        targets = _targets(number)[task_type]
        split = "unlabelled" if not targets else "test" if number >= SAMPLES * 3 // 4 else "train"
        builder.add(sample_id=f"{number:02d}", image=f"image_{number:02d}.png", split=split, **targets)


def _targets(number: int) -> dict[str, dict[str, Any]]:
    return {
        "classification": {"label": number % 2},
        "multilabel": {"labels": [1 - number % 2, int(_left(number) < 3)]},
        "regression": {"value": _brightness(number) / 255},
        "semantic_segmentation": {"mask": f"mask_{number:02d}.png"},
        "unlabelled": {},
    }


def _draw(target: Path, mode: str) -> None:
    from PIL import Image, ImageDraw

    for number in range(SAMPLES):
        image = Image.new(mode, (SIZE, SIZE), color="#606060")
        mask = Image.new("L", (SIZE, SIZE), color=0)
        box = (_left(number), 3, _left(number) + 9, 12)
        for canvas, fill in ((image, (_brightness(number),) * len(image.getbands())), (mask, (1,))):
            pen = ImageDraw.Draw(canvas)
            shape = pen.rectangle if number % 2 else pen.ellipse
            shape(box, fill=fill if len(fill) == 3 else fill[0])
        image.save(target / f"image_{number:02d}.png")
        mask.save(target / f"mask_{number:02d}.png")


def _left(number: int) -> int:
    return number // 2 % 6


def _brightness(number: int) -> int:
    return 20 + number if number % 2 else 200 + number
