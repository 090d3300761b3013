"""Seeding each step by the run's seed and the step's identity, without importing numpy or torch for it."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from mml_core.scheduling.threads import limit_threads

_LATE = ("numpy", "torch")


def step_seed(seed: int, identity: str) -> int:
    """Return a step's seed, 0 to 2**63 - 1, a function of the run's seed and the step's identity alone."""
    digest = hashlib.sha256(f"{seed}\0{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int, threads: int) -> None:
    """Seed ``random``, NumPy and torch, and set the threads of all libraries (see `limit_threads`).

    A library that is not imported yet is seeded as soon as the step imports it.

    Args:
        seed: As ``step_seed`` gives it.
        threads: Threads a library may use within an operation.
    """
    limit_threads(threads)
    random.seed(seed)
    late = []
    for name in _LATE:
        if name in sys.modules:
            _seed_library(name, seed, threads)
        else:
            late.append(name)
    _LateSeeding.expect(late, seed, threads)


def _seed_library(name: str, seed: int, threads: int) -> None:
    module = sys.modules[name]
    if name == "numpy":
        module.random.seed([seed >> 32, seed & 0xFFFFFFFF])
    else:
        module.manual_seed(seed)
        if module.get_num_threads() != threads:
            module.set_num_threads(threads)


class _LateSeeding(importlib.abc.MetaPathFinder):
    """Seeds a library right after its import; it is in ``sys.meta_path`` only while one is still to come."""

    _installed: _LateSeeding | None = None

    def __init__(self) -> None:
        self.seed = 0
        self.threads = 1
        self.waiting: set[str] = set()

    @classmethod
    def expect(cls, names: Sequence[str], seed: int, threads: int) -> None:
        """Seed the named libraries when they are imported."""
        finder = cls._installed
        if finder is None:
            if not names:
                return
            finder = cls._installed = cls()
            sys.meta_path.insert(0, finder)
        finder.seed, finder.threads, finder.waiting = seed, threads, set(names)
        if not names:
            sys.meta_path.remove(finder)
            cls._installed = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a library that is waited for as the other finders do, and have it seeded once it is loaded."""
        if name not in self.waiting:
            return None
        self.waiting.discard(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = self._then_seed(name, execute)  # type: ignore[method-assign,assignment]
        return spec

    def _then_seed(self, name: str, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            execute(module)
            _seed_library(name, self.seed, self.threads)

        return exec_module
