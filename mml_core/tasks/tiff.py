"""Reading TIFF files of wide colour, which Pillow would cut down to 8 bits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.errors import ImageError


def decode_wide_tiff(data: bytes, path: Path) -> NDArray[Any]:
    """Decode a TIFF file of one page of RGB or RGBA, whose size was looked at, with all its bits.

    Args:
        data: The content of the file.
        path: Names it in errors.

    Returns:
        (H, W, 3) or (H, W, 4), of the type in the file.

    Raises:
        ImageError: tifffile is not installed, the file is damaged, or of other colours.
    """
    try:
        from tifffile import PHOTOMETRIC, TiffFile
    except ImportError as error:
        raise ImageError(
            f"Image {path} is a TIFF file with colour of 16 bits, which tifffile reads: "
            "pip install 'mml-core[tiff]'."
        ) from error
    try:
        with TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            orientation = page.tags.valueof("Orientation", 1)
            if page.photometric != PHOTOMETRIC.RGB or page.samplesperpixel not in (3, 4) or orientation != 1:
                raise ImageError(
                    f"Image {path} is a TIFF file of {page.photometric.name} colour in "
                    f"{page.samplesperpixel} channels of 16 bits and orientation {orientation}; of so "
                    "many bits RGB and RGBA in orientation 1 are read: convert it."
                )
            array = page.asarray()
            return np.moveaxis(array, page.axes.index("S"), -1)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # tifffile promises no set of errors for damaged files
        raise ImageError(
            f"Image {path} is a TIFF file that cannot be decoded: {' '.join(str(error).split())[:300]}."
        ) from error
