"""What a model has to put out for one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mml_core.errors import MMLError

CLASSIFICATION = "classification"
MULTILABEL = "multilabel"
REGRESSION = "regression"
SEGMENTATION = "semantic_segmentation"
TRAINABLE = (CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION)


class UntrainableTaskError(MMLError):
    """The task has no targets a model could learn."""


class TogetherError(MMLError):
    """Tasks cannot be learnt by one network."""


class TaskLike(Protocol):
    """A TaskStruct or TaskDescription, as far as learning looks at it."""

    @property
    def name(self) -> str:
        """Name of the task, tags included."""

    @property
    def task_type(self) -> Any:
        """Type of the task: one of ``TRAINABLE``, as a string or a string enumeration."""

    @property
    def num_outputs(self) -> int:
        """Channels the network must put out."""


@dataclass(frozen=True, kw_only=True)
class TaskOutput:
    """Name, type and width of one head.

    Attributes:
        task: Name of the task, tags included.
        task_type: One of ``TRAINABLE``.
        width: Classes, labels, regression values, or segmentation classes with the background.
        ignore_index: A number in the masks of a segmentation that is no class: its pixels count neither in
            the loss nor in metrics. None where each pixel has a class.
    """

    task: str
    task_type: str
    width: int
    ignore_index: int | None = None

    @classmethod
    def of(cls, task: TaskLike) -> TaskOutput:
        """Read the head off a task.

        Raises:
            UntrainableTaskError: If the task is unlabelled or has no outputs.
        """
        task_type = str(getattr(task.task_type, "value", task.task_type))
        if task_type not in TRAINABLE:
            raise UntrainableTaskError(
                f"Task '{task.name}' is of type '{task_type}', which no model can be trained on;"
                f" choose a task of type {', '.join(TRAINABLE)}."
            )
        if task.num_outputs < 1:
            raise UntrainableTaskError(
                f"Task '{task.name}' has {task.num_outputs} classes or values; create it again with targets."
            )
        return cls(
            task=task.name,
            task_type=task_type,
            width=int(task.num_outputs),
            ignore_index=getattr(task, "ignore_index", None),
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TaskOutput:
        """Rebuild what :meth:`to_json` gave."""
        return cls(
            task=str(stored["task"]),
            task_type=str(stored["task_type"]),
            width=int(stored["width"]),
            ignore_index=stored.get("ignore_index"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a pipeline file."""
        return asdict(self)


def check_together(outputs: Sequence[TaskOutput]) -> None:
    """Refuse tasks that no single network serves: a class per pixel and a value per image.

    Raises:
        TogetherError: Names one task of each kind.
    """
    pixels = [output.task for output in outputs if output.task_type == SEGMENTATION]
    images = [output for output in outputs if output.task_type != SEGMENTATION]
    if pixels and images:
        raise TogetherError(
            f"Tasks '{pixels[0]}' ({SEGMENTATION}) and '{images[0].task}' ({images[0].task_type}) cannot"
            " share a network, which puts out a class per pixel or values per image; choose co-tasks that are"
            f" all of type {SEGMENTATION}, or none."
        )
