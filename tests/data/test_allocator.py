"""A training on processors does not give its memory back to the system after every batch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from mml_core.data.allocator import keep_freed_memory

def batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(1_000_000) for _ in range(20)]
    del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(keep_freed_memory())
batch()
print(batch() + batch())
"""
LEFT_TO_THE_USER = {"MALLOC_ARENA_MAX": "8"}


def counted(**more: str) -> tuple[str, int]:
    """Tell whether freed memory is kept, and how many pages the second and third batch took anew."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env={**environment, **more}, capture_output=True, text=True, check=True
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_memory_of_a_batch_is_that_of_the_next() -> None:
    (kept, pages), (left, more) = counted(), counted(**LEFT_TO_THE_USER)
    assert (kept, left) == ("True", "False")
    assert pages < more / 3
