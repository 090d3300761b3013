"""Exact sums over the pixels of images, many small ones at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_SLAB = 1 << 20
"""Pixels summed up at once: so many squares of 16 bit are below 2**53, which float64 holds."""
_BLOCK = 1 << 8
"""So many squares of 8 bit are below 2**24, which float32 holds."""
_TOGETHER = 1 << 18
"""Values of small images that are summed up by the same calls: as floats they still fit into a cache."""


class PixelSums(NamedTuple):
    """Sums over the pixels of one image, on the scale of 16 bit.

    Attributes:
        sums: Of the values, by channel.
        squares: Of their squares.
        pixels: How many pixels there are.
    """

    sums: list[int]
    squares: list[int]
    pixels: int

    @classmethod
    def of(cls, image: NDArray[Any]) -> PixelSums:
        """Sum up one image (C, H, W) of uint8 or uint16; exact, as every sum of floats is a whole number."""
        return cls.of_each([image])[0]

    @classmethod
    def of_each(cls, images: Sequence[NDArray[Any]]) -> list[PixelSums]:
        """The same of several images, each with sums of its own."""
        return [found for alike in _alike(images) for found in cls._of_alike(alike)]

    @classmethod
    def _of_alike(cls, images: list[NDArray[Any]]) -> Iterator[PixelSums]:
        channels, dtype = len(images[0]), images[0].dtype
        real, block = (np.float32, _BLOCK) if dtype == np.uint8 else (np.float64, _SLAB)
        flat = [image.reshape(channels, -1) for image in images]
        pixels = flat[0].shape[1]
        sums, squares = (np.zeros((len(images), channels), dtype=np.int64) for _ in range(2))
        for start in range(0, pixels, _SLAB):
            width = min(_SLAB, pixels - start)
            size = min(block, width)
            padded = np.empty((len(images), channels, -(-width // size) * size), dtype=real)
            padded[..., width:] = 0
            for part, image in zip(padded, flat, strict=True):
                part[:, :width] = image[:, start : start + width]
            blocks = padded.reshape(-1, size)
            sums += _whole(blocks @ np.ones(size, dtype=real), sums.shape)
            squares += _whole(np.einsum("bp,bp->b", blocks, blocks), sums.shape)
        to_16_bit = 257 if dtype == np.uint8 else 1  # 255 * 257 == 65535: both scales end at 1
        for total, of_squares in zip((sums * to_16_bit).tolist(), squares.tolist(), strict=True):
            yield cls(total, [n * to_16_bit**2 for n in of_squares], pixels)


def _whole(found: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Add up what was found of blocks, by image and channel."""
    added: NDArray[np.int64] = found.astype(np.int64).reshape(*shape, -1).sum(axis=-1)
    return added


def _alike(images: Sequence[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """Yield images that follow each other and are of one shape and type, as many as are small enough."""
    found: list[NDArray[Any]] = []
    for image in images:
        if found and (
            (image.shape, image.dtype) != (found[0].shape, found[0].dtype)
            or (len(found) + 1) * image.size > _TOGETHER
        ):
            yield found
            found = []
        found.append(image)
    if found:
        yield found
