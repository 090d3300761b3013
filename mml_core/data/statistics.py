"""Exact mean and standard deviation of each channel over many images, whatever their order."""

from __future__ import annotations

import logging
from contextlib import suppress
from math import sqrt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mml_core.data.pixel_sums import PixelSums
from mml_core.data.prepared import source_of_pixels
from mml_core.data.preprocessing import Preprocessing
from mml_core.data.sources import FileSource, SampleSource
from mml_core.errors import MMLError
from mml_core.storage.atomic import write_json
from mml_core.storage.hashing import digest
from mml_core.tasks.description import TaskDescription, TaskHeader

log = logging.getLogger(__name__)


class ChannelStatistics:
    """Sums over pixels, kept as whole numbers so that no order or grouping of images changes the result.

    Args:
        channels: Channels of every image.
    """

    def __init__(self, channels: int) -> None:
        self._sums = [0] * channels
        self._squares = [0] * channels
        self._pixels = 0

    def add(self, image: NDArray[Any]) -> None:
        """Take in one image (C, H, W) of uint8 or uint16, on the scale of 16 bit."""
        self.add_sums(PixelSums.of(image))

    def add_sums(self, found: PixelSums) -> None:
        """Take in the sums over one image."""
        for channel, (total, squares) in enumerate(zip(found.sums, found.squares, strict=True)):
            self._sums[channel] += total
            self._squares[channel] += squares
        self._pixels += found.pixels

    @property
    def means(self) -> list[float]:
        """Mean of each channel on the scale 0 to 1; 0 where no image was taken in."""
        return [total / (max(1, self._pixels) * 65535) for total in self._sums]

    @property
    def stds(self) -> list[float]:
        """Standard deviation of each channel on the scale 0 to 1; 1 where no image was taken in."""
        if not self._pixels:
            return [1.0] * len(self._sums)
        return [
            sqrt(self._pixels * squares - total * total) / (self._pixels * 65535)
            for total, squares in zip(self._sums, self._squares, strict=True)
        ]


def statistics_of(source: SampleSource, rows: NDArray[np.int64], channels: int) -> ChannelStatistics:
    """Take in the images of some rows, one after the other."""
    statistics = ChannelStatistics(channels)
    for start in range(len(rows)):
        statistics.add(source.images(rows[start : start + 1])[0])
    return statistics


def cached_statistics(
    data: Path, header: TaskHeader, preprocessing: Preprocessing
) -> tuple[list[float], list[float]]:
    """Means and standard deviations of a task that has no store, as its store would state them.

    Decoding the training split for that is done once; the result is kept in the data folder's cache, where
    it can be written to, and can be deleted at any time.

    Args:
        data: The data folder.
        header: The header of the task as it was created.
        preprocessing: What is done to every image.
    """
    if preprocessing.keeps_pixels(header.channels):
        return header.means, header.stds
    key = digest({"parameters": preprocessing.parameters, "source": source_of_pixels(header)})
    path = data / "cache" / "statistics" / f"{header.name}-{key[:16]}.json"
    found = _read_cache(path, key)
    if found is not None:
        return found
    log.info(
        "%s: decoding all training images for their mean in preprocessing %s; "
        "'mml run --mode=preprocess' does it for good",
        header.name,
        preprocessing.prep_id,
    )
    samples = TaskDescription(header, data / "tasks" / header.name, data).samples
    source = FileSource(samples, header, data / "datasets" / header.dataset, preprocessing)
    channels = preprocessing.channels_of(header.channels)
    statistics = statistics_of(source, samples.indices("train"), channels)
    made = _Cached(key, statistics.means, statistics.stds)
    with suppress(OSError, MMLError):  # a data folder that cannot be written to costs time, nothing else
        write_json(path, {"statistics": made, "sha256": digest(made)})
    return made.means, made.stds


def _read_cache(path: Path, key: str) -> tuple[list[float], list[float]] | None:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_CacheFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = file.statistics
    return (found.means, found.stds) if (found.key, digest(found)) == (key, file.sha256) else None


class _Cached(msgspec.Struct, frozen=True):
    key: str
    means: list[float]
    stds: list[float]


class _CacheFile(msgspec.Struct, frozen=True):
    statistics: _Cached
    sha256: str
