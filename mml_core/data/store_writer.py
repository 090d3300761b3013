"""Writing the files of a preprocessed store, sample by sample, or going on where a killed process stopped."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mml_core.data.manifest import Modality
from mml_core.data.store import CHUNK_BYTES
from mml_core.storage.hashing import sha256_file

_SYNC_BYTES = 1 << 23
_BUFFER_BYTES = 1 << 17
"""Small samples are handed to the system several at a time."""


class ModalityWriter:
    """Appends samples to one file and sums it up for the manifest.

    Args:
        folder: A private folder, published as a whole when it is complete.
        name: The modality: ``image`` or ``mask``.
        dtype: What every sample is stored as.

    Attributes:
        unmarked_bytes: How much was added since the last mark.
    """

    def __init__(self, folder: Path, name: str, dtype: DTypeLike) -> None:
        self._folder = folder
        self._name = name
        self._dtype = np.dtype(dtype)
        # What an earlier process left stays: some is taken up, and what is added overwrites the rest.
        descriptor = os.open(folder / f"{name}.bin", os.O_RDWR | os.O_CREAT, 0o666)
        self._file = os.fdopen(descriptor, "r+b", buffering=_BUFFER_BYTES)
        self._chunks: list[int] = []
        self._chunk_crc = 0
        self._extents: list[tuple[int, ...]] = []
        self._size = 0
        self._marked = self._marked_chunks = 0
        self.unmarked_bytes = 0
        # The disk writes while images are decoded, or publication would have to wait for it.
        self._syncing = ThreadPoolExecutor(1)
        self._synced: Future[None] | None = None
        self._synced_bytes = 0

    def __enter__(self) -> ModalityWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._syncing.shutdown()
        self._file.close()

    def add(self, sample: NDArray[Any]) -> None:
        """Append one sample, whose type must fit the file's."""
        if not np.can_cast(sample.dtype, self._dtype, "safe"):
            raise TypeError(f"samples of {sample.dtype} do not fit a file of {self._dtype}")
        data = np.ascontiguousarray(sample, dtype=self._dtype)
        content = data.reshape(-1).view(np.uint8)
        self._file.write(content.data)
        self._count(content, data.shape)

    def mark(self) -> tuple[list[list[int]], list[int]]:
        """Hand all that was added to the operating system.

        Returns:
            Shapes of the samples since the last mark, and the checksums of the chunks that ended since, with
            that of the one that has not ended: what `left` needs.
        """
        self._file.flush()
        self._sync()
        shapes = [list(extent[1:]) for extent in self._extents[self._marked :]]
        checksums = [*self._chunks[self._marked_chunks :], self._chunk_crc]
        self._marked, self._marked_chunks, self.unmarked_bytes = len(self._extents), len(self._chunks), 0
        return shapes, checksums

    def left(self, shapes: Sequence[Sequence[int]], checksums: Sequence[int]) -> list[NDArray[Any]] | None:
        """The next samples in the file as an earlier writer left it, not counted as added yet.

        Args:
            shapes: Shapes of the samples.
            checksums: What `mark` gave with the shapes.

        Returns:
            The samples, or None where the file does not hold what was written.
        """
        sizes = [int(np.prod(shape)) * self._dtype.itemsize for shape in shapes]
        if self._size + sum(sizes) > os.fstat(self._file.fileno()).st_size:
            return None
        data = os.pread(self._file.fileno(), sum(sizes), self._size)
        ended, begun = _checksums(data, self._size, self._chunk_crc)
        if len(data) != sum(sizes) or [*ended, begun] != list(checksums):
            return None
        starts = np.cumsum([0, *sizes])
        return [
            np.frombuffer(data[start : start + size], self._dtype).reshape(tuple(shape))
            for start, size, shape in zip(starts[:-1], sizes, shapes, strict=True)
        ]

    def take_up(self, samples: Sequence[NDArray[Any]]) -> None:
        """Count samples that `left` gave as added, without writing them again."""
        for sample in samples:
            self._count(sample.reshape(-1).view(np.uint8), sample.shape)
        self._file.seek(self._size)
        self.mark()

    def finish(self) -> Modality:
        """Close the file and return its entry for the manifest."""
        if self._size % CHUNK_BYTES:
            self._chunks.append(self._chunk_crc)
        self._file.truncate(self._size)
        if self._synced is not None:
            self._synced.result()
        self._file.close()
        shapes = {extent[1:] for extent in self._extents}
        equal = list(shapes.pop()) if len(shapes) == 1 else None
        index, index_sha256 = (None, "") if equal is not None else self._write_index()
        return Modality(
            file=f"{self._name}.bin",
            dtype=self._dtype.name,
            samples=len(self._extents),
            shape=equal,
            index=index,
            index_sha256=index_sha256,
            size=self._size,
            chunk_bytes=CHUNK_BYTES,
            chunks=self._chunks,
        )

    def _sync(self) -> None:
        if self._size - self._synced_bytes < _SYNC_BYTES:
            return
        if self._synced is not None:
            if not self._synced.done():
                return
            self._synced.result()  # raises what the disk refused
        self._synced = self._syncing.submit(os.fsync, self._file.fileno())
        self._synced_bytes = self._size

    def _count(self, content: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
        self._extents.append((self._size, *shape))
        self.unmarked_bytes += len(content)
        ended, self._chunk_crc = _checksums(content.data, self._size, self._chunk_crc)
        self._chunks += ended
        self._size += len(content)

    def _write_index(self) -> tuple[str, str]:
        path = self._folder / f"{self._name}.index.npy"
        np.save(path, np.array(self._extents, dtype=np.int64), allow_pickle=False)
        return path.name, sha256_file(path)


def _checksums(content: bytes | memoryview, offset: int, begun: int) -> tuple[list[int], int]:
    """Go on with the CRC-32 of chunks.

    Args:
        content: What lies at ``offset`` of the file.
        offset: Where the last chunk may have begun already.
        begun: The checksum of that chunk so far.

    Returns:
        The checksums of the chunks that end in the content, and of the one that does not.
    """
    view, ended, start = memoryview(content), [], 0
    while start < len(view):
        part = view[start : start + CHUNK_BYTES - offset % CHUNK_BYTES]
        begun = zlib.crc32(part, begun)
        start, offset = start + len(part), offset + len(part)
        if offset % CHUNK_BYTES == 0:
            ended.append(begun)
            begun = 0
    return ended, begun
