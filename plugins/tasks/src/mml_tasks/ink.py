"""Digits drawn over textures: a segmentation in which no pixel tells by itself whether it is ink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mml_tasks.digits import REFERENCE, load_digits
from mml_tasks.tables import read_table, write_png, write_table

if TYPE_CHECKING:
    from mml_core.api import TaskBuilder

SIZE = 64
COUNTS = {"train": 360, "test": 90}
TEXTURES = ("brick", "grass", "gravel")
_COLUMNS = {"train": (0, 352), "test": (384, 512)}
"""Training backgrounds are from the left of each texture, test ones from the right, with a gap between."""
_DIGIT_PIXELS = (28, 48)
_TEXTURE_STRENGTH = 0.8
_DARK, _LIGHT = (40.0, 100.0), (155.0, 215.0)
"""Brightness of background and ink: one is dark, the other light, so that neither has values of its own."""
_NOISE = 4.0


def create_images(target: Path, sources: Path) -> None:
    """Draw all images and masks."""
    from skimage import data

    digits, _, test = load_digits()
    textures = {name: getattr(data, name)() for name in TEXTURES}
    rows = []
    for seed, (split, count) in enumerate(COUNTS.items()):
        random = np.random.default_rng(seed)
        choice = digits[test if split == "test" else ~test]
        for number in range(count):
            texture = TEXTURES[number % len(TEXTURES)]
            inks = [_DARK, _LIGHT] if random.integers(0, 2) else [_LIGHT, _DARK]
            background = _background(textures[texture][:, slice(*_COLUMNS[split])], inks[0], random)
            image, mask = _draw(background, choice, inks[1], random)
            names = {kind: f"{kind}s/{split}_{number:03d}.png" for kind in ("image", "mask")}
            write_png(target / names["image"], image)
            write_png(target / names["mask"], mask)
            rows.append({**names, "split": split, "texture": texture})
    write_table(target, rows)


def create_task(dataset: Path, builder: TaskBuilder) -> None:
    """Find the ink."""
    builder.describe(
        idx_to_class=["background", "ink"],
        summary="which pixels of a textured picture are ink of a digit",
        license="CC-BY-4.0 AND CC0-1.0",
        reference=f"{REFERENCE}; textures from scikit-image, CC0",
    )
    for row in read_table(dataset):
        builder.add(
            sample_id=Path(row["image"]).stem, image=row["image"], mask=row["mask"], split=row["split"]
        )


def _background(
    texture: NDArray[np.uint8], brightness: tuple[float, float], random: np.random.Generator
) -> NDArray[np.float64]:
    """Cut a piece at a random place, mirrored and turned at random, with a brightness of its own."""
    top = random.integers(0, texture.shape[0] - SIZE + 1)
    left = random.integers(0, texture.shape[1] - SIZE + 1)
    piece = texture[top : top + SIZE, left : left + SIZE].astype(np.float64)
    piece = np.rot90(piece, int(random.integers(0, 4)))
    if random.integers(0, 2):
        piece = piece[:, ::-1]
    return _TEXTURE_STRENGTH * (piece - piece.mean()) + random.uniform(*brightness)


def _draw(
    canvas: NDArray[np.float64],
    digits: NDArray[np.uint8],
    brightness: tuple[float, float],
    random: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one to three digits, each with an ink of its own."""
    mask = np.zeros(canvas.shape, dtype=np.uint8)
    for _ in range(random.integers(1, 4)):
        side = int(random.integers(*_DIGIT_PIXELS))
        stroke = _enlarge(digits[random.integers(0, len(digits))], side)
        top, left = random.integers(0, SIZE - side + 1, size=2)
        window = slice(top, top + side), slice(left, left + side)
        ink = random.uniform(*brightness)
        canvas[window] = (1 - stroke) * canvas[window] + stroke * ink
        mask[window] |= (stroke > 0.5).astype(np.uint8)
    noisy = canvas + random.normal(0.0, _NOISE, canvas.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), mask


def _enlarge(digit: NDArray[np.uint8], side: int) -> NDArray[np.float64]:
    """Return how much ink, 0 to 1, is at each pixel of a digit of the given side, with steep edges."""
    from PIL import Image

    large = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip((np.asarray(large, dtype=np.float64) / 255 - 0.3) / 0.3, 0.0, 1.0)
