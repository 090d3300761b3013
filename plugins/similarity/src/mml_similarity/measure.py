"""What a distance between tasks is: its options, a summary of each task, and how far two are apart."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mml_core.api import OptionError, require_known

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mml_core.api import Features, TaskStruct
    from mml_similarity.fisher_file import TaskEmbedding

PAIRS_AT_ONCE = 2
"""How many pairs of tasks are compared at the same time: processors that a step needs."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """A task as distances see it.

    Attributes:
        struct: The task.
        features: Its features; None for distances that need none.
        embedding: Its Fisher embedding by the backbone's weights, for distances that need it.
    """

    struct: TaskStruct
    features: Features | None
    embedding: TaskEmbedding | None = None

    @property
    def samples(self) -> int:
        """How many samples were looked at; 0 where none."""
        if self.embedding is not None:
            return self.embedding.samples
        return 0 if self.features is None else len(self.features.values)


class Measure(ABC):
    """A distance between tasks; that of a task to itself is 0.

    Args:
        options: ``mode.<name>`` of the config, over ``defaults``.
        seed: What random choices are made by.

    Attributes:
        name: What the config calls it.
        symmetric: Whether it is the same in both directions.
        needs_features: Whether it looks at features, not at headers alone.
        needs_embeddings: Whether it looks at Fisher embeddings by the backbone's weights.
        task_types: The types of task it is defined for; empty for all.
        defaults: Its options.
    """

    name: ClassVar[str]
    symmetric: ClassVar[bool] = True
    needs_features: bool = True
    needs_embeddings: bool = False
    task_types: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, options: Mapping[str, Any], seed: int = 0) -> None:
        require_known(f"mode.{self.name}", options, self.defaults)
        self.options = {**self.defaults, **options}
        self.seed = seed
        self.check_options()

    def check_options(self) -> None:
        """Raise OptionError where an option is impossible; by default none is."""
        return

    def check_task(self, struct: TaskStruct) -> None:
        """Raise OptionError where the distance is not defined for a task."""
        task_type = str(struct.task_type.value)
        if self.task_types and task_type not in self.task_types:
            raise OptionError(
                f"The distance {self.name} is not defined for task '{struct.name}' of type {task_type}, but"
                f" for {', '.join(self.task_types)}; leave the task or the distance out."
            )

    @abstractmethod
    def summarise(self, tasks: Sequence[Described]) -> Sequence[Any]:
        """Do once for each task what all its distances share."""

    @abstractmethod
    def between(self, a: Any, b: Any) -> float:
        """Return the distance from one task's summary to another's."""

    def matrix(self, tasks: Sequence[Described]) -> NDArray[np.float64]:
        """Return all distances (T, T), from the task of the row to that of the column.

        Several pairs are compared at once, each by one thread, so that their number changes no result.
        """
        from concurrent.futures import ThreadPoolExecutor
        from itertools import combinations, permutations

        import numpy as np

        found = self.summarise(tasks)
        values = np.zeros((len(found), len(found)))
        pairs = list((combinations if self.symmetric else permutations)(range(len(found)), 2))
        with ThreadPoolExecutor(PAIRS_AT_ONCE) as threads:
            between = threads.map(lambda pair: self.between(found[pair[0]], found[pair[1]]), pairs)
            for (row, column), value in zip(pairs, between, strict=True):
                values[row, column] = value
                if self.symmetric:
                    values[column, row] = value
        return values

    def require_number(self, key: str, *, above: float, most: float = math.inf) -> None:
        """Raise OptionError where an option is no number in a range."""
        value = self.options[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not above < value <= most:
            upper = f" and at most {most:g}" if most < math.inf else ""
            raise OptionError(
                f"mode.{self.name}.{key} must be a number above {above:g}{upper}, found {value!r}."
            )


def values_of(task: Described) -> NDArray[np.float32]:
    """Return the features (N, D) of a task."""
    assert task.features is not None
    return task.features.values


def targets_of(task: Described) -> NDArray[Any]:
    """Return the targets of a task that has some."""
    assert task.features is not None
    assert task.features.targets is not None
    return task.features.targets
