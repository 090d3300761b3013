"""Reading a preprocessed store: one memory-mapped file per modality, each chunk checked before its use."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import DamagedStoreError, UnequalSizesError
from mml_core.data.manifest import Manifest, Modality, read_manifest
from mml_core.data.shared_memory import SharedBytes
from mml_core.storage.hashing import sha256_file

CHUNK_BYTES = 1 << 20
_READ_BYTES = 1 << 24

Allocate: TypeAlias = Callable[[tuple[int, ...], Any], NDArray[Any]]
"""Gives an array of a shape and a type, to be filled."""


class SampleArray:
    """The samples of one modality, memory-mapped.

    A chunk's checksum is compared when a sample in it is first asked for by this process, so that opening
    costs nothing and no damaged byte is ever handed out.

    Args:
        folder: The store.
        entry: The modality's entry in the manifest.
        loaded: The content of its file where another process has loaded and checked it.

    Raises:
        DamagedStoreError: A file is missing or has another size than when it was written.
    """

    def __init__(self, folder: Path, entry: Modality, loaded: SharedBytes | None = None) -> None:
        self.folder = folder
        self.entry = entry
        self._loaded = loaded
        path = folder / entry.file
        try:
            size = path.stat().st_size
        except OSError as error:
            raise DamagedStoreError(folder, f"{entry.file} cannot be read ({error.strerror})") from error
        if size != entry.size:
            raise DamagedStoreError(folder, f"{entry.file} has {size} bytes, {entry.size} were written")
        self._index = None if entry.shape is not None else self._read_index()
        self._unverified = np.full(len(entry.chunks), loaded is None)
        self._all_verified = loaded is not None or not entry.chunks
        empty = np.zeros(0, dtype=np.uint8)
        mapped = loaded.array if loaded is not None else np.memmap(path, np.uint8, "r") if size else empty
        self._use(mapped)

    def __len__(self) -> int:
        return self.entry.samples

    def __reduce__(self) -> tuple[Any, ...]:
        return SampleArray, (self.folder, self.entry, self._loaded)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of every sample; None where they differ."""
        return None if self.entry.shape is None else tuple(self.entry.shape)

    def sample(self, row: int) -> NDArray[Any]:
        """The sample of one row, still in the memory map; not to be written to."""
        start, stop, shape = self._extent(row)
        self._verify(np.array([start]), np.array([stop]))
        return self._bytes[start:stop].view(self.entry.dtype).reshape(shape)

    def gather(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Copy the samples of some rows into one array (B, …), by a single gather.

        Args:
            rows: Which samples.
            allocate: Gives the memory they are copied to, of a shape and a type.

        Raises:
            UnequalSizesError: They do not have one size.
            DamagedStoreError: A chunk they lie in does not have the checksum it was written with.
        """
        if self._items is None:
            return stack([self.sample(int(row)) for row in rows], self.folder.name, allocate)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self._items):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self._items)} samples")
        if not self._all_verified:
            length = self._items[0].nbytes
            self._verify(rows * length, (rows + 1) * length)
        batch = allocate((len(rows), *self._items.shape[1:]), self._items.dtype)
        # Clipping does nothing to rows that are in range; to raise, NumPy would copy twice.
        return self._items.take(rows, axis=0, out=batch, mode="clip")

    def load(self) -> None:
        """Read the whole file, once and in order, into memory that processes share, and check it.

        Raises:
            DamagedStoreError: A chunk does not have the checksum it was written with.
            LoaderError: There is not memory enough.
        """
        if self._loaded is not None or not self.entry.size:
            return
        loaded = SharedBytes(self.entry.size, f"{self.folder.name}/{self.entry.file}")
        memory = loaded.array.data
        with (self.folder / self.entry.file).open("rb", buffering=0) as file:
            done = 0
            while done < len(memory) and (count := file.readinto(memory[done : done + _READ_BYTES])):
                done += count
        self._use(loaded.array)
        for chunk in range(len(self.entry.chunks)):
            self._verify_chunk(chunk)
        self._all_verified = True
        self._loaded = loaded

    def verify(self) -> None:
        """Read everything and compare it with the checksums it was written with.

        Raises:
            DamagedStoreError: Something differs.
        """
        for chunk in range(len(self.entry.chunks)):
            self._verify_chunk(chunk)

    def _use(self, content: NDArray[np.uint8]) -> None:
        self._bytes = content
        self._items: NDArray[Any] | None = None
        if self.entry.shape is not None:
            plain = np.asarray(content).view(self.entry.dtype)
            self._items = plain.reshape(self.entry.samples, *self.entry.shape)

    def _extent(self, row: int) -> tuple[int, int, tuple[int, ...]]:
        if self._index is not None:
            offset, *shape = (int(number) for number in self._index[row])
        else:
            assert self.entry.shape is not None
            shape = self.entry.shape
            offset = row * int(np.prod(shape)) * np.dtype(self.entry.dtype).itemsize
        return offset, offset + int(np.prod(shape)) * np.dtype(self.entry.dtype).itemsize, tuple(shape)

    def _read_index(self) -> NDArray[np.int64]:
        path = self.folder / (self.entry.index or "")
        try:
            if sha256_file(path) != self.entry.index_sha256:
                raise DamagedStoreError(
                    self.folder, f"{path.name} has another sha256 than it was written with"
                )
            # NumPy types what a file holds as Any.
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            raise DamagedStoreError(self.folder, f"{path.name} cannot be read ({error})") from error

    def _verify(self, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> None:
        if self._all_verified:
            return
        size = self.entry.chunk_bytes
        first, last = starts // size, (np.maximum(stops, starts + 1) - 1) // size
        touched = np.unique(np.concatenate([first + step for step in range(int((last - first).max()) + 1)]))
        touched = touched[(touched >= 0) & (touched < len(self._unverified))]
        for chunk in touched[self._unverified[touched]]:
            self._verify_chunk(int(chunk))
        self._all_verified = not self._unverified.any()

    def _verify_chunk(self, chunk: int) -> None:
        start = chunk * self.entry.chunk_bytes
        data = self._bytes[start : start + self.entry.chunk_bytes]
        if zlib.crc32(data.data) != self.entry.chunks[chunk]:
            raise DamagedStoreError(
                self.folder, f"bytes {start} to {start + len(data)} of {self.entry.file} changed"
            )
        self._unverified[chunk] = False


@dataclass(frozen=True)
class Store:
    """A preprocessed task, ready to be gathered from."""

    folder: Path
    manifest: Manifest
    images: SampleArray
    masks: SampleArray | None

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Map the store in ``folder`` into memory; takes milliseconds however large it is.

        Raises:
            DamagedStoreError: The manifest or a file is missing, cut or altered.
        """
        manifest = read_manifest(folder)
        arrays = {name: SampleArray(folder, entry) for name, entry in manifest.modalities.items()}
        if "image" not in arrays:
            raise DamagedStoreError(folder, "it has no images")
        return cls(folder, manifest, arrays["image"], arrays.get("mask"))

    def verify(self) -> None:
        """Compare every byte with the checksums it was written with.

        Raises:
            DamagedStoreError: Something differs.
        """
        self.images.verify()
        if self.masks is not None:
            self.masks.verify()

    def load(self) -> None:
        """Read everything into memory that processes share, and check it.

        Raises:
            DamagedStoreError: Something differs from what was written.
            LoaderError: There is not memory enough.
        """
        self.images.load()
        if self.masks is not None:
            self.masks.load()


def stack(samples: list[NDArray[Any]], origin: str, allocate: Allocate = np.empty) -> NDArray[Any]:
    """Stack samples into a batch, for which ``allocate`` gives the memory.

    Raises:
        UnequalSizesError: They do not have one shape.
    """
    shapes = {sample.shape for sample in samples}
    if len(shapes) > 1:
        sizes = " and ".join("x".join(map(str, shape[-2:])) for shape in sorted(shapes)[:2])
        raise UnequalSizesError(
            f"Images of {origin} have unequal sizes, as {sizes}, and cannot form one batch: choose a "
            "preprocessing with a size, as preprocessing=default, or loader.batch_size=1."
        )
    return np.stack(samples, out=allocate((len(samples), *samples[0].shape), samples[0].dtype))
