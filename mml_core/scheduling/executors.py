"""Executors: what starts the steps that a run has ready, and tells when they ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mml_core.errors import MMLError
from mml_core.scheduling.run_records import Failure


@dataclass(frozen=True)
class Event:
    """A step that an executor started has ended.

    Whether it is committed, its record says; why it failed, the run directory, unless the event does.

    Attributes:
        step_id: The step.
        failure: Why it failed, where the executor knows; None where it is committed or its worker just ended.
        how: How its worker ended, for people, such as ``killed by SIGKILL``.
    """

    step_id: str
    failure: Failure | None = None
    how: str = ""


class Executor(Protocol):
    """Starts workers that do "step S of run R", and nothing more: ``mml work R --step S``.

    Made as ``Executor(cfg)`` with the run's config, whose node ``executor`` is its own.

    Attributes:
        capacity: How many steps it wants started at once, those included that wait for their resources.
    """

    capacity: int

    def start(self, run_dir: Path | None, step_id: str, resources: Mapping[str, float]) -> Any:
        """Start a step, or queue it, and return a handle of it.

        Args:
            run_dir: The run's directory; None for a mode that writes nothing, which runs in process.
            step_id: The step.
            resources: What it needs: ``cpus``, ``gpus``, ``memory`` in GiB, ``threads``.
        """

    def poll(self) -> list[Event]:
        """Return which steps ended since the last call; block until one did, but no longer than a second."""

    def cancel(self, handle: Any) -> bool:
        """Take back a step that has not begun; False: it has, and its event will come."""

    def close(self) -> None:
        """Stop all workers, let them checkpoint, and wait until they are gone."""


@runtime_checkable
class InProcessExecutor(Protocol):
    """An executor that works in the process of the run."""

    def attach(self, work: Callable[[str], Event]) -> None:
        """Take the function that does the step of an id."""


class SequentialExecutor:
    """Does one step after the other in the process of the run.

    Args:
        cfg: The run's config.
    """

    capacity = 1

    def __init__(self, cfg: Any) -> None:
        self._waiting: deque[str] = deque()
        self._work: Callable[[str], Event] | None = None

    def attach(self, work: Callable[[str], Event]) -> None:
        """Take the function that does the step of an id."""
        self._work = work

    def start(self, run_dir: Path | None, step_id: str, resources: Mapping[str, float]) -> str:
        """Queue a step."""
        self._waiting.append(step_id)
        return step_id

    def poll(self) -> list[Event]:
        """Do the next queued step."""
        if self._work is None:
            raise MMLError("The sequential executor was not attached to a run.")
        return [self._work(self._waiting.popleft())] if self._waiting else []

    def cancel(self, handle: str) -> bool:
        """Take a queued step out."""
        if handle not in self._waiting:
            return False
        self._waiting.remove(handle)
        return True

    def close(self) -> None:
        """Take all queued steps out."""
        self._waiting.clear()
