"""Reading single-frame DICOM images into arrays, as a viewer shows them but with all their grey levels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.tasks.errors import ImageError

_PREAMBLE = 128
_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PALETTE = "PALETTE COLOR"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MOST_BITS = 16


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes begin as a DICOM file does (PS3.10, 7.1)."""
    return data[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def decode_dicom(data: bytes, path: Path, most_pixels: int) -> NDArray[Any]:
    """Decode a DICOM file of one frame.

    Grey images go through their modality transform (rescale or LUT; PS3.3 C.11.1) and their first VOI
    transform (window or LUT; C.11.2). Where there is none, the whole range that their stored bits can have is
    kept, so that all images of one scanner stay on one scale; ``MONOCHROME1`` is inverted, so that larger is
    always brighter. The range becomes 0 to 65535, or 0 to 255 for what is stored in 8 bits without any
    transform. YBR colours and palettes become RGB.

    Args:
        data: The content of the file.
        path: Names it in errors.
        most_pixels: Images of more are refused before they are decoded.

    Returns:
        (H, W, 1) or (H, W, 3), uint8 or uint16.

    Raises:
        ImageError: pydicom is not installed, the file is damaged, or holds something else than one image.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ImageError(
            f"Image {path} is a DICOM file, which pydicom reads: pip install 'mml-core[dicom]'."
        ) from error
    if _DEFLATED in data:  # it would be inflated as a whole, to whatever size, before anything is known of it
        raise ImageError(f"Image {path} is a deflated DICOM file: save it with another transfer syntax.")
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        _refuse(dataset, path, most_pixels)
        return _decode(dataset)
    except ImageError:
        raise
    except Exception as error:  # pydicom promises no set of errors for damaged files
        raise ImageError(
            f"Image {path} is a DICOM file that cannot be decoded: {' '.join(str(error).split())[:300]}."
        ) from error


def _refuse(dataset: Any, path: Path, most_pixels: int) -> None:
    kind = dataset.get("Modality") or "of no modality"
    if "PixelData" not in dataset:
        raise ImageError(f"Image {path} is a DICOM file without pixels ({kind}): leave it out.")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise ImageError(f"Image {path} is a DICOM file of {frames} frames: save each as a file.")
    if dataset.Rows * dataset.Columns > most_pixels:
        raise ImageError(
            f"Image {path} is too large: {dataset.Rows}x{dataset.Columns} pixels, {most_pixels} are allowed."
        )
    if dataset.PhotometricInterpretation not in (*_GREY, *_COLOUR, _PALETTE):
        raise ImageError(
            f"Image {path} has the DICOM colours {dataset.PhotometricInterpretation}; read are"
            f" {', '.join((*_GREY, *_COLOUR, _PALETTE))}."
        )
    if dataset.BitsStored > _MOST_BITS:
        raise ImageError(f"Image {path} stores {dataset.BitsStored} bits a pixel: 16 are read.")


def _decode(dataset: Any) -> NDArray[Any]:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    pixels = pixel_array(dataset)  # YBR has become RGB
    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == _PALETTE:
        colours: NDArray[Any] = apply_color_lut(pixels, dataset)[:, :, :3]
        return colours
    if dataset.PhotometricInterpretation in _COLOUR:
        return _scaled(pixels, 0, 2**bits - 1, wide=bits > 8)
    low, high = _range(dataset)
    plain = not any(
        dataset.get(key) is not None
        for key in ("ModalityLUTSequence", "RescaleSlope", "VOILUTSequence", "WindowCenter")
    )
    values = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset)
    grey = _scaled(values, low, high, wide=bits > 8 or not plain or bool(dataset.PixelRepresentation))
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = np.iinfo(grey.dtype).max - grey
    return grey[:, :, None]


def _range(dataset: Any) -> tuple[float, float]:
    """The lowest and highest value that can come out of the modality and VOI transforms."""
    if dataset.get("VOILUTSequence"):
        return 0.0, 2.0 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    if dataset.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    levels = 2 ** int(dataset.BitsStored)
    lowest = -levels // 2 if dataset.PixelRepresentation else 0
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    ends = lowest * slope + intercept, (lowest + levels - 1) * slope + intercept
    return min(ends), max(ends)


def _scaled(values: NDArray[Any], low: float, high: float, *, wide: bool) -> NDArray[Any]:
    top = 65535 if wide else 255
    shares = (values.astype(np.float64) - low) / (high - low)
    found: NDArray[Any] = np.rint(np.clip(shares, 0.0, 1.0) * top).astype(np.uint16 if wide else np.uint8)
    return found
