"""The structs of tasks as the steps of a run see them: each change is applied once, however many see it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mml_core.scheduling.changes import StructChange, StructState
from mml_core.scheduling.conflicts import among, check_order
from mml_core.scheduling.plan import Plan
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.struct import TaskStruct


@dataclass(frozen=True)
class _Known:
    """A struct with the changes of some steps.

    Attributes:
        description: The task.
        state: Its paths and models.
        positions: The steps, a bit mask over positions in the plan.
        writers: What only ordered steps may change, with the last of them that did.
    """

    description: TaskDescription
    state: StructState
    positions: int
    writers: dict[str, int]


class StructHistory:
    """What the steps of a run changed of TaskStructs.

    A step sees what its ancestors changed. Most steps see what one before them saw, and some more: only that
    is applied then. A chain of steps is known by the first that changed the struct.

    Args:
        plan: The run's plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._changes: dict[str, dict[int, StructChange]] = {}
        self._changed: dict[str, int] = {}
        self._writers: dict[tuple[str, str], list[int]] = {}
        self._known: dict[tuple[str, int], _Known] = {}

    def add(self, position: int, changes: Mapping[str, StructChange]) -> None:
        """Note what a committed step changed, by task."""
        for task, change in changes.items():
            self._changes.setdefault(task, {})[position] = change
            self._changed[task] = self._changed.get(task, 0) | 1 << position
            for key in change.targets():
                insort(self._writers.setdefault((task, key), []), position)

    def seen(
        self, task: str, ancestors: int, load: Callable[[str], TaskStruct], project: Path
    ) -> tuple[TaskDescription, StructState]:
        """Return a task, and the state of its struct that a step sees.

        Args:
            task: The task.
            ancestors: The ancestors of the step, a bit mask over positions in the plan.
            load: Gives the struct of a task as it was before any step.
            project: The project's folder.

        Raises:
            ConflictError: Two of these steps that do not wait for each other changed the same thing.
        """
        visible = self._changed.get(task, 0) & ancestors
        chain = (task, visible & -visible)
        known = self._known.get(chain)
        if known is None or not _goes_on(known.positions, visible):
            struct = load(task)
            known = _Known(struct.description, StructState.of(struct, project), 0, {})
        new = visible & ~known.positions
        if new:
            state, writers = known.state.copy(), dict(known.writers)
            for position in _positions(new):
                change = self._changes[task][position]
                self._check(task, change, position, writers)
                state.apply(change)
            known = _Known(known.description, state, visible, writers)
        self._known[chain] = known
        return known.description, known.state.copy()

    def check(self, ancestors: int) -> None:
        """Raise ConflictError where any two unordered ones of some steps changed one thing."""
        for task, changed in self._changed.items():
            writers: dict[str, int] = {}
            for position in _positions(changed & ancestors):
                self._check(task, self._changes[task][position], position, writers)

    def check_new(self, task: str, change: StructChange, position: int) -> None:
        """Raise ConflictError where a step that is not ordered with one has changed the same thing before."""
        for key in change.targets():
            around = among(self._writers.get((task, key), ()), position)
            check_order(self._plan, _what(key, task), around)

    def _check(self, task: str, change: StructChange, position: int, writers: dict[str, int]) -> None:
        for key in change.targets():
            if key in writers:
                check_order(self._plan, _what(key, task), (writers[key], position))
            writers[key] = position


def _goes_on(known: int, visible: int) -> bool:
    """Tell whether the visible steps are the known ones and later ones."""
    return visible & ((1 << known.bit_length()) - 1) == known


def _positions(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _what(key: str, task: str) -> str:
    return f"{key} of task '{task}'"
