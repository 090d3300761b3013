"""The structs of tasks as they are before any step: what is installed, and what reuse gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mml_core.scheduling.changes import copy_of, freeze
from mml_core.tasks.models import ModelStorage
from mml_core.tasks.struct import TaskStruct


class InitialStructs:
    """Loads each struct once.

    Args:
        load: Gives the struct of an installed task.
        project: The project's folder.

    Attributes:
        of_plan: What reuse gave the tasks when the run began, as stored JSON; it may have newer files now.
    """

    def __init__(self, load: Callable[[str], TaskStruct], project: Path) -> None:
        self.of_plan: Mapping[str, Any] = {}
        self._load = load
        self._project = project
        self._structs: dict[str, TaskStruct] = {}
        self._frozen = False

    def get(self, name: str) -> TaskStruct:
        """Return the struct of a task, the same one to all who ask before there are steps."""
        if name not in self._structs:
            struct = self._load(name)
            if self._frozen:
                freeze(struct)
            self._structs[name] = struct
        return self._structs[name]

    def freeze(self) -> None:
        """Make it an error to change the structs from now on: what is changed outside of steps is lost."""
        for struct in self._structs.values():
            freeze(struct)
        self._frozen = True

    def copy(self, name: str) -> TaskStruct:
        """Return a struct of a task that a step may change."""
        struct = copy_of(self.get(name), self._project)
        reused = self.of_plan.get(name)
        if reused is not None:
            struct.paths.update({key: self._project / path for key, path in reused["paths"].items()})
            struct.models[:] = [ModelStorage.from_json(model, self._project) for model in reused["models"]]
        return struct
