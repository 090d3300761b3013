"""Masks of class numbers as PNG, without loss."""

from __future__ import annotations

import io

import torch
from torch import Tensor


def encode_mask(mask: Tensor) -> bytes:
    """Return a mask (H, W) as PNG, of 8 bit where its numbers fit and 16 bit else."""
    from PIL import Image

    numbers = mask.numpy()
    image = Image.fromarray(numbers.astype("uint8" if numbers.max(initial=0) < 256 else "uint16"))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_mask(data: bytes) -> Tensor:
    """Return what :func:`encode_mask` wrote, (H, W), int32.

    Raises:
        OSError: The bytes are no image, or one that would fill the memory.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return torch.from_numpy(np.asarray(image).astype(np.int32))
    except Image.DecompressionBombError as error:
        raise OSError(str(error)) from error
