"""Preprocessing: from an image as it lies on disk to the extent and channels a network is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import ChangedSourceError, PreprocessingError
from mml_core.errors import near_matches
from mml_core.storage.hashing import digest

if TYPE_CHECKING:
    from PIL import Image

    from mml_core.tasks.description import Sizes

ALGORITHM = 1
"""Raised whenever the same parameters begin to give other pixels: it is part of every store's identity."""

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "area")
FITS = ("stretch", "pad", "crop")
CHANNELS: dict[str, int] = {"grey": 1, "rgb": 3}
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's conversion to "L"


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to every image, and to its mask, before a network sees it.

    Attributes:
        id: Name of the option it came from.
        height: Height in pixels afterwards; None keeps each image's own extent.
        width: Width in pixels afterwards; None exactly where ``height`` is.
        interpolation: How images are resampled (antialiased); masks always take the nearest pixel.
        channels: ``grey``, ``rgb``, or None for the channels of the task.
        fit: ``stretch`` to the extent; keep the aspect ratio and ``pad`` with zeros; or keep it and ``crop``.
    """

    id: str
    height: int | None = None
    width: int | None = None
    interpolation: str = "bilinear"
    channels: Literal["grey", "rgb"] | None = None
    fit: str = "stretch"

    def __post_init__(self) -> None:
        """Refuse what cannot be done.

        Raises:
            PreprocessingError: A value is outside what its key allows.
        """
        if not isinstance(self.id, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_.]*", self.id):
            raise PreprocessingError(
                f"preprocessing.id is {self.id!r}; use lower-case letters, digits, '_' and '.'."
            )
        if (self.height is None) != (self.width is None):
            raise PreprocessingError(
                f"preprocessing.height is {self.height} and preprocessing.width is {self.width}: "
                "set both, or neither to keep the images' own sizes."
            )
        for key, extent in (("height", self.height), ("width", self.width)):
            if extent is not None and (not isinstance(extent, int) or isinstance(extent, bool) or extent < 1):
                raise PreprocessingError(f"preprocessing.{key} is {extent!r}; a number of pixels is needed.")
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        _one_of("fit", self.fit, FITS)
        if self.channels is not None:
            _one_of("channels", self.channels, tuple(CHANNELS))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Read the ``preprocessing`` group of a composed configuration.

        Raises:
            PreprocessingError: A key is unknown or a value impossible.
        """
        known = [field.name for field in fields(cls)]
        for key in config:
            if key not in known:
                raise PreprocessingError(
                    f"preprocessing has no key '{key}'; there are {', '.join(known)}."
                    f"{near_matches(str(key), known)}"
                )
        if "id" not in config:
            raise PreprocessingError(
                "preprocessing has no id; choose an option, as in preprocessing=default."
            )
        return cls(**{str(key): value for key, value in config.items()})

    @property
    def prep_id(self) -> str:
        """The name of what these parameters make: a function of them alone, and safe as a folder's name.

        The parameters of a shipped option are known by its id; any others by id, extent and a hash.
        """
        if SHIPPED.get(self.id) == self:
            return self.id
        extent = "native" if self.height is None else f"{self.height}x{self.width}"
        return f"{self.id}-{extent}-{digest(self.parameters)[:8]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """All that decides the pixels, as JSON values."""
        chosen = asdict(self)
        del chosen["id"]
        return {**chosen, "algorithm": ALGORITHM}

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of every image afterwards; None where each keeps its own."""
        return None if self.height is None or self.width is None else (self.height, self.width)

    def channels_of(self, task_channels: int) -> int:
        """Number of channels afterwards, of a task whose images have ``task_channels``."""
        return task_channels if self.channels is None else CHANNELS[self.channels]

    def extent(self, sizes: Sizes) -> tuple[int, int]:
        """Height and width afterwards of the largest image of a task with these sizes."""
        return self.size or (sizes.max_height, sizes.max_width)

    def keeps_pixels(self, task_channels: int) -> bool:
        """Whether images of a task with ``task_channels`` are left as they are."""
        return self.size is None and self.channels_of(task_channels) == task_channels

    def image(self, pixels: NDArray[Any], task_channels: int, bit_depth: int = 8) -> NDArray[Any]:
        """Preprocess one image.

        Args:
            pixels: (H, W, C) of uint8 or uint16.
            task_channels: Channels of the task's images.
            bit_depth: Bits per channel of the task's images; an image of 8 in a task of 16 is scaled up.

        Returns:
            (C, H, W), contiguous, uint8 or, in a task of 16 bit, uint16.

        Raises:
            ChangedSourceError: The image has more bits than the task.
        """
        pixels = convert_channels(pixels, self.channels_of(task_channels))
        if self.size is not None:
            pixels = self._fitted(pixels)
        return _of_depth(np.ascontiguousarray(pixels.transpose(2, 0, 1)), bit_depth)

    def mask(self, classes: NDArray[Any], outside: int = 0) -> NDArray[Any]:
        """Preprocess one mask (H, W) of class indices, which is ``outside`` where its image is padded."""
        if self.size is None:
            return np.ascontiguousarray(classes)
        fitted = self._fitted(classes[:, :, None], nearest=True, outside=outside)
        return np.ascontiguousarray(fitted[:, :, 0])

    def _fitted(self, pixels: NDArray[Any], nearest: bool = False, outside: int = 0) -> NDArray[Any]:
        assert self.size is not None
        height, width = self.size
        extent = pixels.shape[:2]
        if extent == self.size:
            return pixels
        method = "nearest" if nearest else self.interpolation
        if self.fit == "stretch":
            return _resized(pixels, height, width, method)
        ratios = (height / extent[0], width / extent[1])
        scale = min(ratios) if self.fit == "pad" else max(ratios)
        inner = tuple(max(1, round(side * scale)) for side in extent)
        pixels = _resized(pixels, inner[0], inner[1], method)
        if self.fit == "crop":
            top, left = (inner[0] - height) // 2, (inner[1] - width) // 2
            return pixels[top : top + height, left : left + width]
        framed = np.full((height, width, pixels.shape[2]), outside, dtype=pixels.dtype)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        framed[top : top + inner[0], left : left + inner[1]] = pixels
        return framed


def convert_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return an image (H, W, C) of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels with others.

    Transparency is dropped where there is no room for it, and made opaque where there is none to take.
    """
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if found not in (1, 2, 3, 4) or channels not in (1, 2, 3, 4):
        raise PreprocessingError(f"An image of {found} channels cannot be made one of {channels}.")
    colour, alpha = pixels[:, :, : found - (found % 2 == 0)], None
    if channels in (2, 4):
        opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, dtype=pixels.dtype)
        alpha = pixels[:, :, -1:] if found in (2, 4) else opaque
    wanted = channels - (channels % 2 == 0)
    if colour.shape[2] == 1 and wanted == 3:
        colour = np.repeat(colour, 3, axis=2)
    elif colour.shape[2] == 3 and wanted == 1:
        colour = np.rint(colour @ _LUMINANCE).astype(pixels.dtype)[:, :, None]
    return colour if alpha is None else np.concatenate([colour, alpha], axis=2)


def _of_depth(pixels: NDArray[Any], bit_depth: int) -> NDArray[Any]:
    if pixels.dtype == np.uint8:
        return pixels if bit_depth == 8 else pixels.astype(np.uint16) * np.uint16(257)  # 255 becomes 65535
    if pixels.dtype == np.uint16 and bit_depth == 16:
        return pixels
    raise ChangedSourceError(
        f"An image has pixels of {pixels.dtype} in a task of {bit_depth} bit: create the task again."
    )


def _resized(pixels: NDArray[Any], height: int, width: int, method: str) -> NDArray[Any]:
    """Resample (H, W, C) by Pillow: 8-bit in its own fixed point, wider types through float32."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    how = {
        "nearest": Image.Resampling.NEAREST,
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "lanczos": Image.Resampling.LANCZOS,
        "area": Image.Resampling.BOX,
    }[method]
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), how))
    bands = [_resized_band(pixels[:, :, band], (width, height), how) for band in range(pixels.shape[2])]
    return np.stack(bands, axis=2)


def _resized_band(band: NDArray[Any], size: tuple[int, int], how: Image.Resampling) -> NDArray[Any]:
    from PIL import Image

    if band.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(band)).resize(size, how))
    resized = np.asarray(Image.fromarray(band.astype(np.float32)).resize(size, how))
    limits = np.iinfo(band.dtype)
    clipped: NDArray[Any] = np.clip(np.rint(resized), limits.min, limits.max).astype(band.dtype)
    return clipped


def _one_of(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        near = near_matches(str(value), allowed)
        raise PreprocessingError(f"preprocessing.{key} is {value!r}; it can be {', '.join(allowed)}.{near}")


SHIPPED: dict[str, Preprocessing] = {
    option.id: option
    for option in (
        Preprocessing(id="none"),
        Preprocessing(id="default", height=64, width=64),
        Preprocessing(id="size32", height=32, width=32),
        Preprocessing(id="size224", height=224, width=224),
    )
}
"""The parameters of the options that come with mml, as their YAML files state them."""
