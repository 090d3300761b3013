"""Tasks that are learnt together with a task: named, or drawn so that the same are drawn again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mml_core.errors import MMLError, near_matches
from mml_core.learning.options import OptionError, is_number, is_whole, plain, require_known


class CoTaskError(MMLError):
    """Co-tasks cannot be found, drawn or weighted as asked."""


@dataclass(frozen=True, kw_only=True)
class CoTasks:
    """The node ``mode.co_tasks`` of the config.

    Attributes:
        tasks: Names.
        draw: How many are drawn besides.
        pool: What is drawn from; None: the tasks of the run.
        seed: What the draw depends on; None: the seed of the run.
    """

    tasks: Sequence[str] = ()
    draw: int = 0
    pool: Sequence[str] | None = None
    seed: int | None = None

    @classmethod
    def from_config(cls, config: Any) -> CoTasks:
        """Read the node: a list of names, or named options.

        Raises:
            OptionError: An option is unknown or impossible.
        """
        given = plain(config)
        if given is None:
            return cls()
        if isinstance(given, list):
            given = {"tasks": given}
        if not isinstance(given, Mapping):
            raise OptionError(f"mode.co_tasks holds a list of tasks or named options, found {given!r}.")
        require_known("mode.co_tasks", given, ("tasks", "draw", "pool", "seed"))
        for name in ("tasks", "pool"):
            names = given.get(name)
            if names is not None and not (
                isinstance(names, list) and all(isinstance(each, str) for each in names)
            ):
                raise OptionError(f"mode.co_tasks.{name} must be a list of tasks, found {names!r}.")
        for name in ("draw", "seed"):
            value = given.get(name)
            if value is not None and not is_whole(value, least=0):
                raise OptionError(f"mode.co_tasks.{name} is {value!r}; a whole number from 0 is needed.")
        return cls(
            tasks=tuple(given.get("tasks") or ()),
            draw=given.get("draw") or 0,
            pool=None if given.get("pool") is None else tuple(given["pool"]),
            seed=given.get("seed"),
        )

    def of(self, task: str, task_list: Sequence[str], seed: int) -> list[str]:
        """Return the co-tasks of a task, those that are named first.

        A draw depends on the seed and the names alone, not on the order of the pool; a task that joins the
        pool pushes at most one other out.

        Args:
            task: The task, never a co-task of its own.
            task_list: The tasks of the run.
            seed: Of the run.

        Raises:
            CoTaskError: There are fewer to draw from.
        """
        named = [name for name in dict.fromkeys(self.tasks) if name != task]
        pool = task_list if self.pool is None else self.pool
        candidates = [name for name in dict.fromkeys(pool) if name != task and name not in named]
        if self.draw > len(candidates):
            raise CoTaskError(
                f"mode.co_tasks.draw={self.draw}: there are {len(candidates)} tasks to draw from for"
                f" '{task}'; name more in mode.co_tasks.pool, or draw fewer."
            )
        chosen = seed if self.seed is None else self.seed
        return named + sorted(candidates, key=lambda name: _rank(chosen, task, name))[: self.draw]


def task_weights(config: Any, tasks: Collection[str]) -> dict[str, float]:
    """Read ``mode.task_weights``.

    Args:
        config: Task → factor of its loss.
        tasks: All tasks of all models.

    Raises:
        CoTaskError: A task is none of them.
        OptionError: A factor is none.
    """
    given = plain(config) or {}
    if not isinstance(given, Mapping):
        raise OptionError(f"mode.task_weights holds a number for each task, found {given!r}.")
    for task, weight in given.items():
        if task not in tasks:
            hint = near_matches(str(task), tasks) or f" There are {', '.join(sorted(tasks))}."
            raise CoTaskError(f"mode.task_weights names '{task}', which no model of the run learns.{hint}")
        if not is_number(weight) or not math.isfinite(weight) or weight < 0:
            raise OptionError(f"mode.task_weights.{task} is {weight!r}; a number from 0 is needed.")
    return {str(task): float(weight) for task, weight in given.items()}


def _rank(seed: int, task: str, name: str) -> str:
    return hashlib.sha256(f"{seed}\0{task}\0{name}".encode()).hexdigest()
