"""What a step changed of a TaskStruct: a difference, stored in its record, applied for its successors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from mml_core.errors import MMLError
from mml_core.tasks.description import TaskDescription
from mml_core.tasks.models import ModelStorage
from mml_core.tasks.struct import TaskStruct

_ADVICE = "Take the struct by get_struct inside the step that changes it."


class StructChangeError(MMLError):
    """A TaskStruct was changed where that would be lost, or into what cannot be stored."""


class StructChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one step changed of one TaskStruct.

    Attributes:
        paths: New or changed entries of ``struct.paths``; None where an entry was removed.
        added: Models appended to ``struct.models``.
        edited: Changed fields of models that were there, by the models' weights.
        models: All models, where a step removed or reordered some; else None.
    """

    paths: dict[str, str | None] = {}
    added: list[dict[str, Any]] = []
    edited: dict[str, dict[str, Any]] = {}
    models: list[dict[str, Any]] | None = None

    def __bool__(self) -> bool:
        return bool(self.paths or self.added or self.edited) or self.models is not None

    def targets(self) -> set[str]:
        """Names of what only ordered steps may change; appended models merge in plan order."""
        edited = {f"{key} of model {weights}" for weights, new in self.edited.items() for key in new}
        whole = {"models"} if self.models is not None else set()
        return {f"paths[{key!r}]" for key in self.paths} | edited | whole


@dataclass(frozen=True)
class StructState:
    """The changeable part of a TaskStruct as stored JSON."""

    paths: dict[str, str]
    models: list[dict[str, Any]]

    @classmethod
    def of(cls, struct: TaskStruct, project: Path, step: str = "") -> StructState:
        """Take the state of a struct.

        Raises:
            StructChangeError: An entry of ``paths`` is no path, or one of ``models`` no ModelStorage.
        """
        where = f"The struct of task '{struct.name}'" + (f" after {step}" if step else "")
        paths = {}
        for key, path in struct.paths.items():
            if not isinstance(key, str) or not isinstance(path, (str, Path)):
                raise StructChangeError(f"{where} has paths[{key!r}] = {path!r}; a str names a Path there.")
            paths[key] = stored_path(Path(path), project)
        models = []
        for model in struct.models:
            if not isinstance(model, ModelStorage):
                raise StructChangeError(
                    f"{where} has {model!r} in its models; only ModelStorage belongs there."
                )
            models.append(model.to_json(project))
        return cls(paths, models)

    def files(self, project: Path) -> Iterator[str]:
        """The files that the paths and models name: path in the project, or absolute."""
        yield from self.paths.values()
        for model in self.models:
            for path in (model["weights"], model["pipeline"], *model["predictions"].values()):
                yield plain_path(path, project)

    def copy(self) -> StructState:
        """Return the same state, which can be changed by itself."""
        return StructState(dict(self.paths), list(self.models))

    def apply(self, change: StructChange) -> None:
        """Change the state as a step of the past did."""
        for key, path in change.paths.items():
            if path is None:
                self.paths.pop(key, None)
            else:
                self.paths[key] = path
        if change.models is not None:
            self.models[:] = change.models
        if change.edited:
            self.models[:] = [{**model, **change.edited.get(model["weights"], {})} for model in self.models]
        self.models.extend(change.added)

    def struct(self, description: TaskDescription, project: Path) -> TaskStruct:
        """Return a struct of a task with this state."""
        paths = {key: project / path for key, path in self.paths.items()}
        return TaskStruct(description, paths, [ModelStorage.from_json(each, project) for each in self.models])

    def change_to(self, later: StructState) -> StructChange:
        """Return what turns this state into the later one."""
        paths: dict[str, str | None] = {
            key: path for key, path in later.paths.items() if self.paths.get(key) != path
        }
        paths.update(dict.fromkeys(self.paths.keys() - later.paths.keys()))
        known = len(self.models)
        before, after = ([model["weights"] for model in each.models[:known]] for each in (self, later))
        if before != after or len(set(before)) < known:
            return StructChange(paths=paths, models=later.models)
        edited = {}
        for old, new in zip(self.models, later.models, strict=False):
            if old != new:
                edited[old["weights"]] = {key: new[key] for key in new if new[key] != old.get(key)}
        return StructChange(paths=paths, added=later.models[known:], edited=edited)


def stored_path(path: Path, project: Path) -> str:
    """Return a path as stored: relative to the project where it lies in it, else absolute."""
    text = (path if path.is_absolute() else path.absolute()).as_posix()
    return text.removeprefix(f"{project.as_posix()}/")  # a hundred times as fast as relative_to


def plain_path(path: str, project: Path) -> str:
    """Return a path that a stored model names as paths are stored: that of another project is absolute.

    Args:
        path: Relative to the project, such as ``../other/PARAMETERS/…``.
        project: The project's folder.
    """
    return Path(os.path.normpath(project / path)).as_posix() if path.startswith("../") else path


def freeze(struct: TaskStruct) -> None:
    """Make changes of a struct an error: it was taken before the steps, and resume would lose them."""
    struct.paths = _FrozenPaths(struct.paths, struct.name)
    struct.models = _FrozenModels(struct.models, struct.name)


def copy_of(struct: TaskStruct, project: Path) -> TaskStruct:
    """Return a struct of the same task and state that shares nothing changeable with ``struct``."""
    return StructState.of(struct, project).struct(struct.description, project)


def _refuse(name: str) -> NoReturn:
    raise StructChangeError(
        f"The struct of task '{name}' was taken outside of a step, where changes are lost. {_ADVICE}"
    )


class _FrozenPaths(dict[str, Path]):
    def __init__(self, paths: Mapping[str, Path], name: str) -> None:
        super().__init__(paths)
        self._name = name

    def _no(self, *args: object, **kwargs: object) -> NoReturn:
        _refuse(self._name)

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = __ior__ = _no


class _FrozenModels(list[ModelStorage]):
    def __init__(self, models: list[ModelStorage], name: str) -> None:
        super().__init__(models)
        self._name = name

    def _no(self, *args: object, **kwargs: object) -> NoReturn:
        _refuse(self._name)

    __setitem__ = __delitem__ = append = extend = insert = pop = remove = clear = sort = reverse = _no
    __iadd__ = __imul__ = _no
