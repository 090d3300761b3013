"""Finding pairs of images that look the same, among millions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.image_hashes import Hashes

DISTANCE = 4
"""Bits by which the hashes of two images may differ, by default."""

MOST_DISTANT = 8
SIMILARITY = 0.98
"""Correlation that the thumbnails of two images have at least."""

_LEAST_CONTRAST = 1.0
_MOST_AT_ONCE = 1 << 18
_BITS = 64
_EQUAL = 3
_ONES = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)

Pairs = NDArray[np.int64]


def near_images(images: Hashes, distance: int = DISTANCE, similarity: float = SIMILARITY) -> Pairs:
    """Return the pairs of images that look the same.

    Their hashes differ in few bits, and their thumbnails correlate. Images without contrast resemble none.

    Args:
        images: Hashes and thumbnails, (N,).
        distance: Bits by which two hashes may differ, 0 to 8.
        similarity: Least correlation of two thumbnails, up to 1.

    Returns:
        Positions (P, 2), the lower first.
    """
    rows = np.flatnonzero(_contrasts(images) >= _LEAST_CONTRAST)
    hashes = np.ascontiguousarray(images["hash"][rows])
    found = [np.empty((0, 2), dtype=np.int64)]
    for pairs in near_pairs(hashes, distance):
        pairs = rows[pairs]
        left, right = (_standardised(images["thumbnail"][pairs[:, side]]) for side in (0, 1))
        found.append(pairs[np.einsum("pi,pi->p", left, right) >= similarity])
    return np.concatenate(found)


def near_pairs(hashes: NDArray[np.uint64], distance: int = DISTANCE) -> Iterator[Pairs]:
    """Yield all pairs of hashes that differ in at most so many bits, each once, some at a time.

    The bits are divided into ``distance + 3`` bands. Two such hashes are equal in at least three of them, so
    that it is enough to compare those that are equal in three bands, for every three bands; sorting finds
    them (as Manku, Jain & Das Sarma, "Detecting near-duplicates for web crawling", 2007, do in tables). None
    is missed.

    Args:
        hashes: 64 bits each, (N,). The search takes about 40 bytes of memory for each.
        distance: 0 to 8.

    Yields:
        Positions (P, 2), the lower first.

    Raises:
        ValueError: The distance is another.
    """
    if not 0 <= distance <= MOST_DISTANT:
        raise ValueError(f"a distance is from 0 to {MOST_DISTANT}, found {distance}")
    edges = np.linspace(0, _BITS, distance + _EQUAL + 1).round().astype(int).tolist()
    bands = [np.uint64((1 << high) - (1 << low)) for low, high in pairwise(edges)]
    for chosen in combinations(range(len(bands)), _EQUAL):
        keys = hashes & np.bitwise_or.reduce([bands[band] for band in chosen])
        order = np.argsort(keys)
        for neighbours in _equal_neighbours(keys[order]):
            pairs = order[neighbours]
            different = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
            equal = np.sum([(different & band) == 0 for band in bands[: chosen[-1] + 1]], axis=0)
            # A pair that is equal in more than three bands is met several times, and taken the first time.
            taken = (_count_ones(different) <= distance) & (equal == _EQUAL)
            if taken.any():
                yield np.sort(pairs[taken], axis=1)


def _equal_neighbours(keys: NDArray[np.uint64]) -> Iterator[Pairs]:
    """Yield all pairs of positions of sorted keys that are equal."""
    first = np.flatnonzero(keys[1:] == keys[:-1])
    shift = 1
    while len(first):
        for start in range(0, len(first), _MOST_AT_ONCE):
            part = first[start : start + _MOST_AT_ONCE]
            yield np.stack([part, part + shift], axis=1)
        shift += 1
        first = first[first + shift < len(keys)]
        first = first[keys[first] == keys[first + shift]]


def _count_ones(numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
    # numpy.bitwise_count came with NumPy 2
    quarters = np.ascontiguousarray(numbers).view(np.uint16).reshape(-1, 4)
    ones: NDArray[np.uint8] = _ONES[quarters].sum(axis=1, dtype=np.uint8)
    return ones


def _contrasts(images: Hashes) -> NDArray[np.float32]:
    """Return the standard deviation of the pixels of each thumbnail, (N,)."""
    parts = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(images), _MOST_AT_ONCE):
        thumbnails = images["thumbnail"][start : start + _MOST_AT_ONCE]
        parts.append(thumbnails.reshape(len(thumbnails), -1).std(axis=1, dtype=np.float32))
    return np.concatenate(parts)


def _standardised(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails (P, H, W) as vectors (P, H * W) of mean 0 and length 1."""
    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values
