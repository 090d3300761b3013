"""Reading images and masks from files into arrays, without losing what they hold."""

from __future__ import annotations

import io
import math
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.dicom import decode_dicom, is_dicom
from mml_core.tasks.errors import ImageError
from mml_core.tasks.tiff import decode_wide_tiff

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy", ".dcm", ".dicom")
_WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_PLAIN_MODES = {"L": "L", "1": "L", "RGB": "RGB", "RGBA": "RGBA", "LA": "L", "CMYK": "RGB", "YCbCr": "RGB"}
_NPY = b"\x93NUMPY"
_WIDE_COLOUR = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""How Pillow calls colour of 16 bits in a PNG, and the same in the other byte order."""
_OPENING = threading.Lock()
"""Warnings are filtered for all threads at once, and images are read in several."""


def read_image(path: Path) -> NDArray[Any]:
    """Read a PNG, JPEG, TIFF, BMP, WebP, npy or DICOM file.

    Returns:
        Height x width x channels, uint8 or uint16, as many bits as the file has. Grey images have one channel
        (their transparency is left out), colour images three, with transparency four; palettes are resolved
        and the orientation in the EXIF data is applied. For DICOM see `mml_core.tasks.dicom.decode_dicom`.

    Raises:
        ImageError: The file is missing, damaged, or holds what would have to be cut down to fit.
    """
    return decode_image(_read(path), path)


def decode_image(data: bytes, path: Path) -> NDArray[Any]:
    """The same from the bytes of a file; ``path`` is named in errors."""
    if data.startswith(_NPY):
        array = _load_npy(data, path)
        if array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3:
            raise ImageError(f"Image {path} has shape {array.shape}: height x width (x channels) is needed.")
    elif is_dicom(data):
        array = decode_dicom(data, path, _most_pixels())
    else:
        array = _decode_with_pillow(data, path)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        raise ImageError(
            f"Image {path} holds {array.dtype} values, of a range that the file does not tell: map the window"
            " you want to 0 to 65535 and save it as uint16."
        )
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"Image {path} holds {array.dtype} values: only uint8 and uint16 are read.")
    if 0 in array.shape:
        raise ImageError(f"Image {path} is empty: its shape is {array.shape}.")
    return array


def has_alpha(data: bytes, image: NDArray[Any]) -> bool:
    """Tell whether the last channel of an image is transparency: in a picture of four, never in an array."""
    return image.shape[2] == 4 and not data.startswith(_NPY)


def read_mask(path: Path) -> NDArray[Any]:
    """Read the class of every pixel from a single-channel PNG, TIFF or npy file.

    Returns:
        Height x width, uint8 or uint16; the indices of a palette image, not its colours.

    Raises:
        ImageError: The file is missing, damaged, or holds colours rather than classes.
    """
    return decode_mask(_read(path), path)


def decode_mask(data: bytes, path: Path) -> NDArray[Any]:
    """The same from the bytes of a file; ``path`` is named in errors."""
    if data.startswith(_NPY):
        array = _load_npy(data, path)
    elif is_dicom(data):
        raise ImageError(f"Mask {path} is a DICOM file: save the class of each pixel as PNG.")
    else:
        array = _decode_with_pillow(data, path, indices=True)[:, :, 0]
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ImageError(f"Mask {path} is {array.shape} of {array.dtype}: height x width integers needed.")
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint16).max):
        raise ImageError(f"Mask {path} has classes from {array.min()} to {array.max()}: 0 to 65535 are read.")
    return array.astype(np.uint16)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"Image {path} cannot be read: {error.strerror}.") from error


def _load_npy(data: bytes, path: Path) -> NDArray[Any]:
    try:
        _refuse_short(data)
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except Exception as error:  # a damaged heading may end in whatever Python's tokenizer raises
        raise ImageError(f"Image {path} is damaged or no plain array: {error}.") from error


def _refuse_short(data: bytes) -> None:
    """Refuse an array that claims to be larger than its file, before memory is taken for it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    needed = math.prod(shape) * dtype.itemsize
    if len(data) - file.tell() < needed and not dtype.hasobject:
        raise ValueError(f"{len(data) - file.tell()} of {needed} bytes are there")


def _most_pixels() -> int:
    """How many pixels an image may have: Pillow's limit, for all formats."""
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS or 2**62


def _decode_with_pillow(data: bytes, path: Path, *, indices: bool = False) -> NDArray[Any]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
        with opened as image:
            _refuse_loss(image, path)
            if _is_wide_tiff(image):
                if indices:
                    raise ImageError(f"Mask {path} holds colours: one channel of class indices is needed.")
                return decode_wide_tiff(data, path)
            if indices and image.format == "JPEG":
                raise ImageError(f"Mask {path} is a JPEG, which does not keep classes: save it as PNG.")
            low = None if indices else _low_bytes(image, data)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            array = _mask_array(image, path) if indices else _image_array(image, path)
            if low is not None:
                array = array.astype(np.uint16) << 8 | np.asarray(ImageOps.exif_transpose(low))
    except UnidentifiedImageError as error:
        raise ImageError(f"Image {path} is in no known format or damaged.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"Image {path} is too large: {error}") from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow promises no set of errors for damaged files
        raise ImageError(f"Image {path} is damaged: {error}.") from error
    return array[:, :, None] if array.ndim == 2 else array


def _image_array(image: Image, path: Path) -> NDArray[Any]:
    if image.mode in _WIDE_MODES:
        return _wide(np.asarray(image), path)
    if image.mode in ("P", "PA"):
        transparent = "transparency" in image.info or image.mode == "PA"
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))
    if image.mode == "F":
        return np.asarray(image)
    if image.mode not in _PLAIN_MODES:
        raise ImageError(f"Image {path} has the mode {image.mode}: convert it to 8 or 16 bit integers first.")
    mode = _PLAIN_MODES[image.mode]
    return np.asarray(image if image.mode == mode else image.convert(mode))  # which copies it otherwise


def _mask_array(image: Image, path: Path) -> NDArray[Any]:
    if image.mode in _WIDE_MODES:
        return _wide(np.asarray(image), path)
    if image.mode not in ("L", "P", "1"):
        raise ImageError(f"Mask {path} has the mode {image.mode}: one channel of class indices is needed.")
    return np.asarray(image)


def _wide(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint16).max):
        raise ImageError(f"Image {path} has values from {array.min()} to {array.max()}: 16 bits are read.")
    return array.astype(np.uint16)


def _low_bytes(image: ImageFile, data: bytes) -> ImageFile | None:
    """The lower bytes of a PNG with colour of 16 bits, of which Pillow decodes the upper ones; else None.

    What Pillow takes for the upper byte in the other byte order is the lower one.
    """
    if image.format != "PNG" or image.tile[0].args not in _WIDE_COLOUR:
        return None
    low = type(image)(io.BytesIO(data))
    low.tile = [tile._replace(args=_WIDE_COLOUR[str(tile.args)]) for tile in low.tile]
    low.load()
    return low


def _is_wide_tiff(image: ImageFile) -> bool:
    """Tell whether this is a TIFF of colour in more than 8 bits, which Pillow would cut down to them."""
    bits = image.tag_v2.get(258, ()) if image.format == "TIFF" else ()  # type: ignore[attr-defined]
    return isinstance(bits, tuple) and len(bits) > 1 and max(bits) > 8


def _refuse_loss(image: ImageFile, path: Path) -> None:
    """Refuse what Pillow would silently cut down: colour of 16 bits, and all pages but the first."""
    raw_mode = image.tile[0].args if image.format == "PNG" and image.tile else None
    wide_png = isinstance(raw_mode, str) and ";16" in raw_mode and raw_mode not in (*_WIDE_COLOUR, "I;16B")
    if wide_png:
        raise ImageError(f"Image {path} holds colour of 16 bits, which cannot be read whole: save it as npy.")
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(f"Image {path} has {image.n_frames} pages: save each as a file.")  # type: ignore[attr-defined]
