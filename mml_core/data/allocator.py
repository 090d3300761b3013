"""Memory of images and tensors on processors: kept for the next, instead of going back to the system."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""As glibc's ``malloc.h`` numbers them."""
_KEPT = 1 << 30
"""So many bytes that are free may stay with the process."""
_MAPPED = 1 << 25
"""What is larger than that has pages of its own, which go back when it is freed."""


def keep_freed_memory() -> bool:
    """Let the C library of this process keep what is freed, up to a gigabyte.

    By default it hands the end of its heap back after most batches or images, and the system fills the same
    pages with zeros anew for the next: a tenth of the time of a training on processors, a third of that of
    decoding in a fresh process. Options of glibc that the environment sets hold instead.

    Returns:
        Whether it does: not where the C library is another than glibc.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([mallopt(_M_TRIM_THRESHOLD, _KEPT), mallopt(_M_MMAP_THRESHOLD, _MAPPED)])
