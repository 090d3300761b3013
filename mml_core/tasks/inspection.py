"""Looking at every image of a task once: that it can be read, and what its pixels amount to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mml_core.storage.hashing import sha256_bytes
from mml_core.tasks.description import Sizes
from mml_core.tasks.errors import CreationError, DamagedTaskError, ImageError
from mml_core.tasks.images import decode_image, decode_mask, has_alpha

Progress = Callable[[int, int], None]
"""Called with how many samples are done, and how many there are."""

_BATCH = 256


@dataclass(frozen=True)
class Inspection:
    """What an image file amounts to.

    Attributes:
        sha256: Of the file.
        height: In pixels.
        width: In pixels.
        bit_depth: 8 or 16.
        sums: Sum of the pixels of each channel, on the scale 0 to 1.
        squares: Sum of their squares.
        class_pixels: For an image with a mask, the number of pixels of each class.
    """

    sha256: str
    height: int
    width: int
    bit_depth: int
    sums: tuple[float, ...]
    squares: tuple[float, ...]
    class_pixels: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of the file, without transparency."""
        return len(self.sums)


@dataclass(frozen=True)
class Inspector:
    """Inspects images below a folder.

    Attributes:
        root: The dataset's folder.
        num_classes: Classes that a mask may hold.
        ignore_index: A number that it may hold beside them.
        known: Relative path to the sha256 the dataset's manifest has of it.
        origins: Relative path to the file it was copied from, which messages name instead.
    """

    root: Path
    num_classes: int = 0
    ignore_index: int | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Path] = field(default_factory=dict)

    def inspect(self, image: str, mask: str | None = None) -> Inspection:
        """Read one image, and its mask where it has one.

        Raises:
            ImageError: One of them cannot be used.
            DamagedTaskError: A file is not the one the manifest has.
        """
        data, sha256 = self._load(image)
        array = decode_image(data, self._named(image))
        if has_alpha(data, array):
            array = array[:, :, :3]  # transparency is left out
        flat = array.reshape(-1, array.shape[2]).astype(np.uint64)
        scale = float(np.iinfo(array.dtype).max)
        pixels = () if mask is None else self._class_pixels(mask, array.shape[:2])
        return Inspection(
            sha256=sha256,
            height=array.shape[0],
            width=array.shape[1],
            bit_depth=array.dtype.itemsize * 8,
            sums=tuple(float(total) / scale for total in flat.sum(axis=0)),
            squares=tuple(float(total) / scale**2 for total in (flat * flat).sum(axis=0)),
            class_pixels=pixels,
        )

    def inspect_all(
        self, files: Sequence[tuple[str, str | None]], progress: Progress | None = None
    ) -> list[Inspection]:
        """Inspect many images with their masks, in threads; the result is in their order."""
        found: list[Inspection] = []
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            for batch in _batches(files):
                found += pool.map(lambda pair: self.inspect(*pair), batch)
                if progress is not None:
                    progress(len(found), len(files))
        return found

    def _named(self, name: str) -> Path:
        return self.origins.get(name, self.root / name)

    def _load(self, name: str) -> tuple[bytes, str]:
        path = self.root / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"Image {self._named(name)} cannot be read: {error.strerror}.") from error
        sha256 = sha256_bytes(data)
        if self.known and self.known.get(name) != sha256:
            raise DamagedTaskError(
                f"Image {path} is not the one the dataset was published with: create the dataset again."
            )
        return data, sha256

    def _class_pixels(self, mask: str, extent: tuple[int, ...]) -> tuple[int, ...]:
        data, _ = self._load(mask)
        path = self._named(mask)
        classes = decode_mask(data, path)
        if classes.shape != extent:
            raise ImageError(
                f"Mask {path} is {classes.shape[0]} x {classes.shape[1]}, its image is "
                f"{extent[0]} x {extent[1]} pixels."
            )
        pixels = classes.ravel()
        if self.ignore_index is not None:
            pixels = pixels[pixels != self.ignore_index]
        counts = np.bincount(pixels, minlength=self.num_classes)
        if len(counts) > self.num_classes:
            raise ImageError(
                f"Mask {path} has the class {len(counts) - 1}, the task has 0 to {self.num_classes - 1}"
                + ("." if self.ignore_index is None else f", and ignores {self.ignore_index}.")
            )
        return tuple(int(count) for count in counts)


@dataclass(frozen=True)
class ImageStatistics:
    """What the images of a task have in common, as its header says it."""

    channels: int
    sizes: Sizes
    means: list[float]
    stds: list[float]
    bit_depth: int


def image_statistics(everything: Sequence[Inspection], train: Sequence[Inspection]) -> ImageStatistics:
    """Sum up inspections.

    Args:
        everything: Of all images: channels, sizes and bit depth are of these.
        train: Of the training images: means and standard deviations are of their pixels.

    Raises:
        CreationError: The numbers of channels do not go together.
    """
    channels = _common_channels({each.channels for each in everything})
    sums, squares, pixels = np.zeros(channels), np.zeros(channels), 0
    for each in train:
        sums += _spread(each.sums, channels)
        squares += _spread(each.squares, channels)
        pixels += each.height * each.width
    means = sums / pixels
    variances = np.maximum(squares / pixels - means**2, 0.0)
    heights, widths = [each.height for each in everything], [each.width for each in everything]
    return ImageStatistics(
        channels=channels,
        sizes=Sizes(
            min_height=min(heights), min_width=min(widths), max_height=max(heights), max_width=max(widths)
        ),
        means=[float(mean) for mean in means],
        stds=[float(std) for std in np.sqrt(variances)],
        bit_depth=max(each.bit_depth for each in everything),
    )


def _common_channels(found: set[int]) -> int:
    if len(found) == 1:
        return next(iter(found))
    if found == {1, 3}:
        return 3  # grey is repeated
    raise CreationError(f"Images of {sorted(found)} channels do not go together in one task.")


def _spread(values: tuple[float, ...], channels: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(values * channels if len(values) == 1 else values, dtype=np.float64)


def _batches(files: Sequence[tuple[str, str | None]]) -> Iterator[Iterable[tuple[str, str | None]]]:
    for start in range(0, len(files), _BATCH):
        yield files[start : start + _BATCH]
