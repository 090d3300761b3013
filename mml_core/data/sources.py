"""Where preprocessed samples come from: a store, or the files of the dataset decoded on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import ChangedSourceError
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.store import Allocate, Store, stack
from mml_core.storage.hashing import sha256_bytes
from mml_core.tasks.description import TaskDescription, TaskHeader, TaskType
from mml_core.tasks.errors import ImageError
from mml_core.tasks.images import decode_image, read_mask


class SampleSource(Protocol):
    """Preprocessed samples by their row in a sample table; the same pixels whichever kind it is.

    ``allocate`` gives the memory that they are copied to.
    """

    def images(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Images (B, C, H, W), uint8 or uint16."""
        ...

    def masks(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Masks (B, H, W) of class indices."""
        ...


class StoreSource:
    """Samples gathered from a memory-mapped store.

    Args:
        store: The store.
        rows: For each sample of the table its row in the store; None where they are the same.
    """

    def __init__(self, store: Store, rows: NDArray[np.int64] | None = None) -> None:
        self.store = store
        self._rows = rows

    def images(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Images (B, C, H, W), uint8 or uint16, by one gather."""
        return self.store.images.gather(rows if self._rows is None else self._rows[rows], allocate)

    def masks(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Masks (B, H, W) of class indices, by one gather."""
        assert self.store.masks is not None
        return self.store.masks.gather(rows if self._rows is None else self._rows[rows], allocate)


class Texts(Protocol):
    """Columns of texts, as a sample table has."""

    def text(self, name: str, index: int) -> str | None:
        """One cell."""
        ...


class FileSource:
    """Samples decoded and preprocessed when they are asked for.

    Args:
        samples: The sample table.
        header: The header of the task as it was created, with the channels and bits of its images.
        root: The dataset's folder, which the paths in the table are relative to.
        preprocessing: What is done to every image and mask.
    """

    def __init__(self, samples: Texts, header: TaskHeader, root: Path, preprocessing: Preprocessing) -> None:
        self._samples = samples
        self._header = header
        self._root = root
        self._preprocessing = preprocessing

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that are used."""
        return ("image", "sha256", "mask") if has_masks(self._header) else ("image", "sha256")

    def images(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Images (B, C, H, W), uint8 or uint16."""
        return stack([self.image(int(row)) for row in rows], f"task {self._header.name}", allocate)

    def masks(self, rows: NDArray[np.int64], allocate: Allocate = np.empty) -> NDArray[Any]:
        """Masks (B, H, W) of class indices."""
        return stack([self.mask(int(row)) for row in rows], f"task {self._header.name}", allocate)

    def image(self, row: int) -> NDArray[Any]:
        """One image (C, H, W).

        Raises:
            ChangedSourceError: Its file is not the one the task was made of.
            ImageError: Its file cannot be read.
        """
        path = self._file(str(self._samples.text("image", row)))
        data = read_bytes(path)
        expected = self._samples.text("sha256", row)
        if expected and sha256_bytes(data) != expected:
            raise ChangedSourceError(
                f"The image {path} is not the one task '{self._header.name}' was made of, its sha256 "
                "differs: restore it, or create the task again."
            )
        pixels = decode_image(data, path)
        return self._preprocessing.image(pixels, self._header.channels, self._header.bit_depth)

    def mask(self, row: int) -> NDArray[Any]:
        """One mask (H, W); of a sample that has none, zeros of its image's extent."""
        name = self._samples.text("mask", row)
        if name is None:
            return np.zeros(self.image(row).shape[1:], dtype=mask_dtype(self._header))
        classes = read_mask(self._file(name)).astype(mask_dtype(self._header), copy=False)
        return self._preprocessing.mask(classes, outside=self._header.ignore_index or 0)

    def _file(self, name: str) -> Path:
        if name.startswith("/") or ".." in name.split("/"):
            raise ImageError(
                f"Task '{self._header.name}' names the file {name!r}, which lies outside of its dataset "
                f"{self._root}; it is not read: remove the task, or create it again."
            )
        return self._root / name


def read_bytes(path: Path) -> bytes:
    """The content of an image file.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"Image {path} cannot be read ({error.strerror}): create its dataset again."
        ) from error


def mask_dtype(header: TaskHeader) -> type[np.unsignedinteger[Any]]:
    """What masks of a task are stored as: 8 bit where its classes and 255, for pixels to ignore, fit."""
    return np.uint8 if len(header.idx_to_class) <= 255 else np.uint16


def has_masks(header: TaskHeader) -> bool:
    """Whether the samples of a task have masks."""
    return header.task_type is TaskType.SEGMENTATION


def source_of(
    description: TaskDescription,
    header: TaskHeader,
    root: Path,
    preprocessing: Preprocessing,
    store: Store | None,
) -> StoreSource | FileSource:
    """The source of a task's samples: its store where there is one.

    Args:
        description: The task, possibly with the other samples that tags made.
        header: The header of the task as it was created.
        root: The dataset's folder.
        preprocessing: What is done to every image and mask.
        store: The store of the task as it was created, in the rows of its table on disk.
    """
    if store is None:
        return FileSource(description.samples, header, root, preprocessing)
    rows = description.samples.rows_on_disk
    same = len(rows) == len(store.images) and bool((rows == np.arange(len(rows))).all())
    return StoreSource(store, None if same else rows)
