"""Bytes in memory that the processes which load share: one copy, however many there are."""

from __future__ import annotations

import mmap
import os
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mml_core.data.errors import LoaderError

_GIB = 2**30


class SharedBytes:
    """Memory that forked processes inherit, and that is sent by its handle to those that are spawned.

    Args:
        size: Bytes.
        name: What they hold, for errors and for tools that list memory.

    Raises:
        LoaderError: The system has no such memory, or less of it than is needed.
    """

    def __init__(self, size: int, name: str) -> None:
        available = available_memory()
        if available is not None and size > available:
            raise LoaderError(
                f"loader.cache=ram needs {size / _GIB:.1f} GiB for {name}, {available / _GIB:.1f} GiB are "
                "free: set loader.cache=null, which reads from the store's file."
            )
        if not hasattr(os, "memfd_create"):
            raise LoaderError(
                "loader.cache=ram needs Linux: set loader.cache=null, which maps the store's file."
            )
        self._map(os.memfd_create(name), size, made=True)

    @property
    def array(self) -> NDArray[np.uint8]:
        """The bytes; written to by who made them, before anybody else reads."""
        return np.frombuffer(self._memory, np.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        # Works while a process is spawned, which is when a loader sends its dataset to its workers.
        return _attach, (reduction.DupFd(self._descriptor), len(self._memory))

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def _map(self, descriptor: int, size: int, *, made: bool) -> None:
        self._descriptor = descriptor
        if made:
            os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)


def available_memory() -> int | None:
    """Bytes that can be used without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def _attach(handle: Any, size: int) -> SharedBytes:
    shared = SharedBytes.__new__(SharedBytes)
    shared._map(handle.detach(), size, made=False)
    return shared
