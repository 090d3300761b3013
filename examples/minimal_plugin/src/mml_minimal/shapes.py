"""A drawn dataset of bright discs and dark squares, and the task that tells them apart."""

from pathlib import Path

from mml_core.api import TaskBuilder

COUNT = 24
KINDS = ("disc", "square")


def draw(target: Path, sources: Path) -> None:
    """Fill the empty folder ``target`` with one PNG per drawing; nothing is downloaded to ``sources``."""
    from PIL import Image, ImageDraw

    for number in range(COUNT):
        kind = KINDS[number % 2]
        image = Image.new("L", (16, 16), color=96)
        pen = ImageDraw.Draw(image)
        left = number // 2 % 6
        box = (left, 3, left + 9, 12)
        if kind == "disc":
            pen.ellipse(box, fill=200 + number)
        else:
            pen.rectangle(box, fill=20 + number)
        image.save(target / f"{kind}_{number:02d}.png")


def describe(dataset: Path, builder: TaskBuilder) -> None:
    """Add every drawing with its class; the last quarter is for testing."""
    builder.describe(
        idx_to_class={str(index): kind for index, kind in enumerate(KINDS)},
        license="CC0-1.0",
        reference="drawn by mml-plugin-minimal",
    )
    for number in range(COUNT):
        kind = KINDS[number % 2]
        builder.add(
            sample_id=f"{number:02d}",
            image=f"{kind}_{number:02d}.png",
            label=KINDS.index(kind),
            split="test" if number >= COUNT * 3 // 4 else "train",
        )
