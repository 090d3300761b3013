"""Threads of a step: as many as the plan says, in each library that brings threads of its own.

They change the order of sums, and with that the last bits of results: the BLAS of NumPy and that of SciPy use
all processors of a machine unless they are told otherwise.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What libraries ask when they are loaded."""


def limit_threads(threads: int) -> None:
    """Let every library use so many threads, those that are loaded later and by child processes, too.

    Args:
        threads: From 1.
    """
    for name in _VARIABLES:
        os.environ[name] = str(threads)
    if "numpy" in sys.modules:
        _loaded(len(sys.modules)).limit(limits=threads)
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _loaded(modules: int) -> Any:
    """Look for the libraries that are loaded, a millisecond spent only where modules were imported."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
