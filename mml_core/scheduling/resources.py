"""What steps need of a machine, and what it has: processors, GPUs and memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from mml_core.errors import MMLError

_GIB = 2**30


class ResourceError(MMLError):
    """The executor is told to use what makes no sense."""


@dataclass(frozen=True)
class Share:
    """What one step was given.

    Attributes:
        cpus: Processors.
        memory: GiB.
        gpus: Which GPUs, by index or identifier as ``CUDA_VISIBLE_DEVICES`` names them.
    """

    cpus: float
    memory: float
    gpus: tuple[str, ...] = ()


@dataclass
class Machine:
    """The processors, memory and GPUs that steps may use together.

    A step that needs more than there is gets all there is, and so runs alone. One that says nothing of GPUs
    gets one, as it would see one in the process of the run: otherwise it would train on processors without a
    word. One that needs a GPU on a machine without any runs on processors, as Lightning does.

    Attributes:
        cpus: Processors.
        memory: GiB.
        gpus: The GPUs.
    """

    cpus: float
    memory: float
    gpus: tuple[str, ...]
    _free_cpus: float = field(init=False)
    _free_memory: float = field(init=False)
    _free_gpus: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._free_cpus, self._free_memory, self._free_gpus = self.cpus, self.memory, list(self.gpus)

    @classmethod
    def of(cls, options: Mapping[str, Any], workers: int) -> Machine:
        """Return what an ``executor`` config allows, by default what this machine has.

        Raises:
            ResourceError: A number is negative or no number.
        """
        cpus = _number(options, "cpus", max(processors(), workers))
        memory = _number(options, "memory", _memory())
        gpus = visible_gpus()
        count = int(_number(options, "gpus", len(gpus)))
        if count > len(gpus):
            raise ResourceError(f"executor.gpus is {count}, this machine shows {len(gpus)}; lower it.")
        return cls(cpus, memory, gpus[:count])

    def take(self, needs: Mapping[str, float]) -> Share | None:
        """Take what a step needs; None where that is not free now."""
        cpus = min(needs.get("cpus", needs.get("threads", 1)), self.cpus)
        memory = min(needs.get("memory", 0), self.memory)
        gpus = min(int(needs.get("gpus", 1)), len(self.gpus))
        if cpus > self._free_cpus or memory > self._free_memory or gpus > len(self._free_gpus):
            return None
        self._free_cpus -= cpus
        self._free_memory -= memory
        given, self._free_gpus = self._free_gpus[:gpus], self._free_gpus[gpus:]
        return Share(cpus, memory, tuple(given))

    def give_back(self, share: Share) -> None:
        """Make a step's share free again."""
        self._free_cpus += share.cpus
        self._free_memory += share.memory
        self._free_gpus = sorted({*self._free_gpus, *share.gpus}, key=self.gpus.index)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; nothing is initialised."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        listed = takewhile(
            lambda each: each != "-1", map(str.strip, named.split(","))
        )  # CUDA stops there, too
        return tuple(filter(None, listed))
    found = sorted(int(path.name[6:]) for path in Path("/dev").glob("nvidia[0-9]*"))
    return tuple(map(str, range(len(found))))


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB


def _number(options: Mapping[str, Any], key: str, default: float) -> float:
    value = options.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ResourceError(f"executor.{key} is {value!r}; give a number that is not negative, or null.")
    return float(value)
