"""What a step changed of a TaskStruct: a difference, stored in its record, applied for its successors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from mml_core.errors import MMLError
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

    def files(self) -> Iterator[str]:
        """The files that the paths and models name."""
        yield from self.paths.values()
        for model in self.models:
            yield from (model["weights"], model["pipeline"], *model["predictions"].values())

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


def apply_change(struct: TaskStruct, change: StructChange, project: Path) -> None:
    """Change a struct as a step of the past did."""
    for key, path in change.paths.items():
        if path is None:
            struct.paths.pop(key, None)
        else:
            struct.paths[key] = project / path
    if change.models is not None:
        struct.models[:] = [ModelStorage.from_json(model, project) for model in change.models]
    if change.edited:
        for at, model in enumerate(struct.models):
            stored = model.to_json(project)
            new = change.edited.get(stored["weights"])
            if new is not None:
                struct.models[at] = ModelStorage.from_json({**stored, **new}, project)
    struct.models.extend(ModelStorage.from_json(model, project) for model in change.added)


def stored_path(path: Path, project: Path) -> str:
    """Return a path as stored: relative to the project where it lies in it, else absolute."""
    try:
        return path.absolute().relative_to(project).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def freeze(struct: TaskStruct) -> None:
    """Make changes of a struct an error: it was taken before the steps, and resume would lose them."""
    struct.paths = _FrozenPaths(struct.paths, struct.name)
    struct.models = _FrozenModels(struct.models, struct.name)


def copy_of(struct: TaskStruct, project: Path) -> TaskStruct:
    """Return a struct of the same task and state that shares nothing changeable with ``struct``."""
    models = [ModelStorage.from_json(model.to_json(project), project) for model in struct.models]
    return TaskStruct(struct.description, dict(struct.paths), models)


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
