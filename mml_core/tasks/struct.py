"""What a scheduler holds of a task: its header, and what steps have attached to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mml_core.tasks.description import HeaderView, TaskDescription
from mml_core.tasks.models import ModelStorage


class TaskStruct(HeaderView):
    """A lightweight representation of a task.

    All fields of the header can be read on it (``name``, ``task_type``, ``num_classes``, …).

    Args:
        description: The task as it is installed.
        paths: Intermediate results of scheduler steps, by a name of their choice.
        models: The models trained on the task.

    Attributes:
        description: The task as it is installed: its samples (``description.samples``) and the folder its
            images lie in (``description.dataset_root``).
        header: Its header.
    """

    def __init__(
        self,
        description: TaskDescription,
        paths: Mapping[str, Path] | None = None,
        models: Iterable[ModelStorage] = (),
    ) -> None:
        self.description = description
        self.header = description.header
        self.paths: dict[str, Path] = dict(paths or {})
        self.models: list[ModelStorage] = list(models)

    def __repr__(self) -> str:
        return (
            f"TaskStruct({self.name!r}, {self.task_type.value}, paths={sorted(self.paths)}, "
            f"{len(self.models)} models)"
        )
