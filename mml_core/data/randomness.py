"""Random numbers that are functions of what they are for, seed, epoch and place alone."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def bits(purpose: str, seed: int, epoch: int, count: int, skip: int = 0) -> NDArray[np.uint64]:
    """Random 64-bit words: a function of the arguments alone, on every machine and NumPy version.

    Args:
        purpose: Keeps apart what is drawn for different ends.
        seed: The seed of the step.
        epoch: The epoch.
        count: How many words.
        skip: So many blocks of four words are left out at the beginning.
    """
    key = int.from_bytes(hashlib.sha256(f"{purpose}:{seed}".encode()).digest()[:8], "little")
    stream = np.random.Philox(key=np.array([key, epoch], dtype=np.uint64))
    stream.advance(skip)
    return np.asarray(stream.random_raw(count), dtype=np.uint64)


def words(
    purpose: str, seed: int, epoch: int, positions: NDArray[np.int64], count: int
) -> NDArray[np.uint64]:
    """Random 64-bit words, (B, ``count``), of which each row depends on its own position alone."""
    if not len(positions):
        return np.zeros((0, count), dtype=np.uint64)
    blocks = -(-count // 4)
    first = int(positions.min())
    span = int(positions.max()) - first + 1
    drawn = bits(purpose, seed, epoch, span * blocks * 4, skip=first * blocks)
    return drawn.reshape(span, blocks * 4)[positions - first, :count]


def uniforms(
    purpose: str, seed: int, epoch: int, positions: NDArray[np.int64], count: int
) -> NDArray[np.float32]:
    """Random numbers in [0, 1), (B, ``count``), of which each row depends on its own position alone."""
    rows = words(purpose, seed, epoch, positions, count)
    drawn: NDArray[np.float32] = (rows >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return drawn
