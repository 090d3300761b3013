"""Images that belong to no task: found in a folder, read, and prepared as a model was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import DataError
from mml_core.data.preprocessing import Preprocessing
from mml_core.errors import near_matches
from mml_core.tasks.errors import ImageError
from mml_core.tasks.images import IMAGE_SUFFIXES, decode_image, has_alpha


class NoImagesError(DataError):
    """There are no images where they were looked for."""


class ChannelsError(DataError):
    """An image has other channels than a model takes."""


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image file, or an image in memory.

    Attributes:
        name: Its path below the folder that was searched, with ``/``; of a file that was named, its name.
        path: Where it is; of an image in memory what messages call it.
        pixels: Of an image in memory: (H, W) or (H, W, C), uint8 or uint16.
    """

    name: str
    path: Path
    pixels: NDArray[Any] | None = None

    def read(self) -> NDArray[Any]:
        """Return the image, without transparency: (H, W, C), uint8 or uint16.

        Raises:
            ImageError: It cannot be read, or an array is no image.
        """
        if self.pixels is None:
            return read_new_image(self.path)
        shape = self.pixels.shape
        if self.pixels.dtype not in (np.uint8, np.uint16) or len(shape) not in (2, 3) or 0 in shape:
            raise ImageError(
                f"Image {self.path} is an array of {self.pixels.dtype} of shape {shape}; give uint8 or uint16"
                " of shape (height, width) or (height, width, channels)."
            )
        return self.pixels[:, :, None] if len(shape) == 2 else self.pixels


def find_images(path: Path) -> tuple[list[NewImage], list[Path]]:
    """Return the images below a folder, sorted by name, and the files that were passed over.

    A file that is named itself is taken whatever its suffix; what is hidden is passed over.

    Raises:
        NoImagesError: There is nothing at the path, or no image below it.
    """
    if path.is_file():
        return [NewImage(name=path.name, path=path)], []
    if not path.is_dir():
        siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NoImagesError(f"There is no file or folder {path}.{near_matches(path.name, siblings)}")
    found, others = [], []
    for each in sorted(path.rglob("*")):
        below = each.relative_to(path)
        if any(part.startswith(".") for part in below.parts) or not each.is_file():
            continue
        if each.suffix.lower() in IMAGE_SUFFIXES:
            found.append(NewImage(name=below.as_posix(), path=each))
        else:
            others.append(each)
    if not found:
        raise NoImagesError(
            f"There are no images below {path}, only {len(others)} other files; images end in"
            f" {', '.join(IMAGE_SUFFIXES)}."
        )
    return found, others


def read_new_image(path: Path) -> NDArray[Any]:
    """Read an image, without transparency, as tasks are made of them.

    Returns:
        (H, W, C), uint8 or uint16.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"Image {path} cannot be read: {error.strerror}.") from error
    pixels = decode_image(data, path)
    return pixels[:, :, :3] if has_alpha(data, pixels) else pixels


def prepare(
    pixels: NDArray[Any], preprocessing: Preprocessing, channels: int, path: Path
) -> NDArray[np.float32]:
    """Preprocess an image as those a model was trained on.

    A grey image is repeated where the model takes colour, as it is when a task is made; any other number of
    channels is refused unless the preprocessing converts them.

    Args:
        pixels: (H, W, C), uint8 or uint16.
        preprocessing: That of the model.
        channels: Channels the model takes.
        path: Names the image in errors.

    Returns:
        (C, H, W) on the scale 0 to 1, not normalised.

    Raises:
        ChannelsError: The image has other channels.
    """
    found = pixels.shape[2]
    taken = {channels, 1} if channels == 3 else {channels}
    if found not in (taken if preprocessing.channels is None else taken | {1, 3}):
        raise ChannelsError(
            f"Image {path} has {found} {'channel' if found == 1 else 'channels'}, the model takes {channels}:"
            f" convert it to {'grey' if channels == 1 else f'{channels} channels'} first."
        )
    ready = preprocessing.image(pixels, channels, 8 * pixels.dtype.itemsize)
    scaled: NDArray[np.float32] = ready.astype(np.float32) / np.float32(np.iinfo(ready.dtype).max)
    return scaled
