"""Executors: what starts the steps that a run has ready, and tells how they ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mml_core.errors import MMLError
from mml_core.scheduling.run_directory import Failure


@dataclass(frozen=True)
class Event:
    """How a step that an executor started has ended.

    Attributes:
        step_id: The step.
        failure: Why it failed; None where it is committed.
    """

    step_id: str
    failure: Failure | None = None


class Executor(Protocol):
    """Starts workers that do "step S of run R", and nothing more.

    Made as ``Executor(cfg)`` with the run's config. ``capacity`` is how many steps it wants started at once;
    what makes a step done is its commit record, not the event.
    """

    capacity: int

    def start(self, run_dir: Path | None, step_id: str, resources: Mapping[str, float]) -> Any:
        """Start a step and return a handle of it."""

    def poll(self) -> list[Event]:
        """Return how steps ended since the last call; block until one did, where that can be."""

    def cancel(self, handle: Any) -> None:
        """Stop a step, or do not begin with it."""

    def close(self) -> None:
        """Let go of all workers."""


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

    def cancel(self, handle: str) -> None:
        """Take a queued step out."""
        if handle in self._waiting:
            self._waiting.remove(handle)

    def close(self) -> None:
        """Take all queued steps out."""
        self._waiting.clear()
