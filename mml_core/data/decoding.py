"""Decoding the samples of a task for its store, with what the store's header has to know of their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mml_core.data.pixel_sums import PixelSums
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sources import FileSource, Texts, has_masks, mask_dtype
from mml_core.tasks.description import TaskHeader

if TYPE_CHECKING:
    from mml_core.data.journal import Sample


class Measured(NamedTuple):
    """What a store's header needs to know of one sample.

    Attributes:
        extent: Height and width.
        sums: Sums over its pixels, where it counts for the means.
        pixels: Pixels of each class, where it counts and has a mask.
    """

    extent: tuple[int, int]
    sums: PixelSums | None
    pixels: NDArray[np.int64] | None


class Decoded(NamedTuple):
    """One sample, ready to be written."""

    sample: Sample
    measured: Measured


class Decoder:
    """Decodes and preprocesses the samples of one task, in any thread.

    Args:
        samples: The sample table.
        header: The header of the task as it was created.
        root: The dataset's folder.
        preprocessing: What is done to every image and mask.
    """

    def __init__(self, samples: Texts, header: TaskHeader, root: Path, preprocessing: Preprocessing) -> None:
        self._samples, self._made_of = samples, (header, root, preprocessing)
        self._source = FileSource(samples, header, root, preprocessing)

    def __call__(self, row: int, *, counted: bool) -> Decoded:
        """Decode one sample.

        Args:
            row: Its row in the sample table.
            counted: Whether it counts for means and class counts.

        Raises:
            ChangedSourceError: A file is not the one the task was made of.
            ImageError: A file cannot be read.
        """
        sample = self.sample(row)
        return Decoded(sample, *self.measured([sample], [counted]))

    def sample(self, row: int) -> Sample:
        """The same, without what the header has to know."""
        sample: Sample = {"image": self._source.image(row)}
        if has_masks(self._made_of[0]):
            sample["mask"] = self._source.mask(row)
        return sample

    def __reduce__(self) -> tuple[Any, ...]:
        return Decoder, (_NO_TEXTS, *self._made_of)  # without the table, see `over`

    @property
    def dtypes(self) -> dict[str, type[np.unsignedinteger[Any]]]:
        """What the samples of each modality are stored as."""
        header = self._made_of[0]
        dtypes: dict[str, type[np.unsignedinteger[Any]]] = {
            "image": np.uint8 if header.bit_depth == 8 else np.uint16
        }
        return {**dtypes, "mask": mask_dtype(header)} if has_masks(header) else dtypes

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest sample."""
        header, _, preprocessing = self._made_of
        height, width = preprocessing.extent(header.sizes)
        planes = {"image": preprocessing.channels_of(header.channels), "mask": 1}
        return sum(
            height * width * planes[name] * np.dtype(dtype).itemsize for name, dtype in self.dtypes.items()
        )

    def measured(self, samples: Sequence[Sample], counted: Sequence[bool]) -> list[Measured]:
        """What the header needs to know of each sample, given whether it counts."""
        sums = iter(
            PixelSums.of_each(
                [sample["image"] for sample, counts in zip(samples, counted, strict=True) if counts]
            )
        )
        return [
            Measured(
                sample["image"].shape[1:],
                next(sums) if counts else None,
                self._pixels_of_classes(sample) if counts and "mask" in sample else None,
            )
            for sample, counts in zip(samples, counted, strict=True)
        ]

    def texts(self, rows: range) -> TextColumns:
        """What another process needs of the table to decode these rows."""
        return TextColumns(
            {name: [self._samples.text(name, row) for row in rows] for name in self._source.columns}
        )

    def over(self, texts: TextColumns) -> Decoder:
        """The same for the rows that another process has asked for, counted from 0."""
        return Decoder(texts, *self._made_of)

    def _pixels_of_classes(self, sample: Sample) -> NDArray[np.int64]:
        classes = len(self._made_of[0].idx_to_class)
        return np.bincount(sample["mask"].ravel(), minlength=classes)[:classes]


@dataclass(frozen=True)
class TextColumns:
    """Some rows of some columns of a sample table."""

    columns: Mapping[str, list[str | None]]

    def text(self, name: str, index: int) -> str | None:
        """One cell."""
        return self.columns[name][index]


_NO_TEXTS = TextColumns({})
