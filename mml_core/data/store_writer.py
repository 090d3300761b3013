"""Writing the files of a preprocessed store, sample by sample."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mml_core.data.store import CHUNK_BYTES, Modality
from mml_core.storage.hashing import sha256_file


class ModalityWriter:
    """Appends samples to one file and sums it up for the manifest.

    Args:
        folder: A private folder, published as a whole when it is complete.
        name: The modality: ``image`` or ``mask``.
        dtype: What every sample is stored as.
    """

    def __init__(self, folder: Path, name: str, dtype: DTypeLike) -> None:
        self._folder = folder
        self._name = name
        self._dtype = np.dtype(dtype)
        self._file = (folder / f"{name}.bin").open("wb")
        self._sha256 = hashlib.sha256()
        self._chunks: list[int] = []
        self._pending = bytearray()
        self._extents: list[tuple[int, ...]] = []
        self._size = 0

    def __enter__(self) -> ModalityWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, sample: NDArray[Any]) -> None:
        """Append one sample, whose type must fit the file's."""
        if not np.can_cast(sample.dtype, self._dtype, "safe"):
            raise TypeError(f"samples of {sample.dtype} do not fit a file of {self._dtype}")
        data = np.ascontiguousarray(sample, dtype=self._dtype)
        self._extents.append((self._size, *data.shape))
        content = data.tobytes()
        self._file.write(content)
        self._size += len(content)
        self._pending += content
        while len(self._pending) >= CHUNK_BYTES:
            self._end_chunk(CHUNK_BYTES)

    def finish(self) -> Modality:
        """Close the file and return its entry for the manifest."""
        if self._pending:
            self._end_chunk(len(self._pending))
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
            sha256=self._sha256.hexdigest(),
            chunk_bytes=CHUNK_BYTES,
            chunks=self._chunks,
        )

    def _end_chunk(self, length: int) -> None:
        chunk = bytes(self._pending[:length])
        del self._pending[:length]
        self._sha256.update(chunk)
        self._chunks.append(zlib.crc32(chunk))

    def _write_index(self) -> tuple[str, str]:
        path = self._folder / f"{self._name}.index.npy"
        np.save(path, np.array(self._extents, dtype=np.int64), allow_pickle=False)
        return path.name, sha256_file(path)
