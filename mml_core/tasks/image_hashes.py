"""Perceptual hashes of the images of tasks, kept in a cache that can be deleted at any time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.storage import atomic
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.errors import ImageError
from mml_core.tasks.images import read_image

THUMBNAIL = 16
"""Height and width of a thumbnail, in pixels."""

RECORD = np.dtype([("hash", "<u8"), ("thumbnail", "u1", (THUMBNAIL, THUMBNAIL))])
"""What is kept of an image: 264 bytes."""

Hashes = NDArray[np.void]
Progress = Callable[[int], None]
OpenProgress = Callable[[int], AbstractContextManager[Progress]]
Chunk = tuple[range, Path, Hashes | None]

_SIDE = 32
_LOW = slice(1, 9)
_CHUNK = 4096
_DIGEST = 16
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def hash_image(image: NDArray[Any]) -> NDArray[np.void]:
    """Return what is kept of an image.

    The hash is that of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010):
    the signs, about their median, of the 8 x 8 lowest frequencies of the cosine transform of the image at
    32 x 32 pixels, constant rows and columns left out. Images that look the same differ in few of its bits.

    Args:
        image: Height x width x channels, uint8 or uint16; transparency is left out.

    Returns:
        A record () of `RECORD`.
    """
    from PIL import Image
    from scipy.fft import dctn

    values = image[:, :, :3].astype(np.float64) / np.iinfo(image.dtype).max
    grey = values @ _LUMINANCE if values.shape[2] == 3 else values.mean(axis=2)
    small = Image.fromarray(grey.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    frequencies = dctn(np.asarray(small, dtype=np.float64), norm="ortho")[_LOW, _LOW].ravel()
    bits = np.packbits(frequencies > np.median(frequencies))
    record = np.zeros((), dtype=RECORD)
    record["hash"] = bits.view("<u8")[0]
    thumbnail = np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    record["thumbnail"] = np.round(thumbnail.clip(0, 1) * 255)
    return record


class HashCache:
    """Hashes of the images of tasks, in files of some thousand below the data folder's cache.

    A file is named by the sample table that it belongs to and holds a digest of itself; what is missing or
    damaged is made anew.

    Args:
        data: The data folder.
    """

    def __init__(self, data: Path) -> None:
        self._folder = data / "cache" / "image_hashes"

    def missing(self, task: TaskDescription) -> int:
        """Return how many images of a task have no hash yet."""
        return _count_missing(self._load_all(task))

    def cached(self, task: TaskDescription) -> Hashes | None:
        """Return the hashes of the samples of a task, (N,), or None where one is missing."""
        parts = []
        for rows, path in self._chunks(task):
            part = _load(path, len(rows))
            if part is None:
                return None
            parts.append(part)
        return self._of_samples(task, parts)

    def get(self, task: TaskDescription, progress: OpenProgress | None = None) -> Hashes:
        """Return the hashes of the samples of a task, (N,); those that are missing are made, in threads.

        An image that cannot be read has zeros, and resembles none.

        Args:
            task: The task, with its tags.
            progress: Called with how many images are to be hashed, where there are any; what it yields, with
                how many more have been.
        """
        chunks = self._load_all(task)
        missing = _count_missing(chunks)
        parts = []
        with progress(missing) if progress is not None and missing else nullcontext() as advance:
            for rows, path, part in chunks:
                if part is None:
                    part = _make(task, rows, advance)
                    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
                        _save(path, part)
                parts.append(part)
        return self._of_samples(task, parts)

    def _load_all(self, task: TaskDescription) -> list[Chunk]:
        return [(rows, path, _load(path, len(rows))) for rows, path in self._chunks(task)]

    def _chunks(self, task: TaskDescription) -> Iterator[tuple[range, Path]]:
        """Yield ranges of rows of the table on disk, and the file that holds their hashes."""
        count = task.samples.rows_in_file
        folder = self._folder / task.stored_sha256
        for start in range(0, count, _CHUNK):
            yield range(start, min(start + _CHUNK, count)), folder / f"{start:09d}"

    @staticmethod
    def _of_samples(task: TaskDescription, parts: Sequence[Hashes]) -> Hashes:
        return np.concatenate([np.empty(0, dtype=RECORD), *parts])[task.samples.rows_on_disk]


def _count_missing(chunks: Sequence[Chunk]) -> int:
    return sum(len(rows) for rows, _, part in chunks if part is None)


def _make(task: TaskDescription, rows: range, progress: Progress | None) -> Hashes:
    from mml_core.tasks.samples import SampleTable

    images = SampleTable.open(task.samples.path).column("image").slice(rows.start, len(rows)).to_pylist()

    def make(name: str) -> NDArray[np.void]:
        try:
            return hash_image(read_image(task.dataset_root / name))
        except ImageError:
            return np.zeros((), dtype=RECORD)

    made = np.zeros(len(rows), dtype=RECORD)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for position, record in enumerate(pool.map(make, images)):
            made[position] = record
            if progress is not None:
                progress(1)
    return made


def _save(path: Path, part: Hashes) -> None:
    body = part.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(path, blake2b(body, digest_size=_DIGEST).digest() + body)


def _load(path: Path, count: int) -> Hashes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST], memoryview(content)[_DIGEST:]
    if len(body) != count * RECORD.itemsize or blake2b(body, digest_size=_DIGEST).digest() != digest:
        return None
    return np.frombuffer(body, dtype=RECORD)
