"""What is kept of a trained model: where its files lie, and how it came about."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import msgspec

from mml_core.tasks.errors import TaskError


class ModelReferenceError(TaskError):
    """A model names files outside of the results, or is not written as one."""


class _StoredModel(msgspec.Struct, forbid_unknown_fields=True):
    weights: str
    pipeline: str
    task: str
    fold: int
    metrics: dict[str, float | None]
    predictions: dict[str, str]
    training_time: float
    created: str
    run: str
    step: str
    outer: int | None = None
    selected_by: list[str] = []


@dataclass(kw_only=True)
class ModelStorage:
    """A trained model of a task.

    Attributes:
        weights: The weights, safetensors.
        pipeline: The config it was trained with.
        task: The task it was trained on.
        fold: The fold that validated.
        metrics: Metric name to value; NaN where it is not defined.
        predictions: Name (such as ``val`` or ``test``) to file of predictions.
        training_time: Seconds of training.
        created: When, ISO 8601 in UTC.
        run: The run that made it.
        step: The step of that run.
        outer: Of nested validation: the fold that was held out beside.
        selected_by: Settings by which the training chose by its validation fold, no unseen data then.
    """

    weights: Path
    pipeline: Path
    task: str
    fold: int
    metrics: dict[str, float] = field(default_factory=dict)
    predictions: dict[str, Path] = field(default_factory=dict)
    training_time: float = 0.0
    created: str = ""
    run: str = ""
    step: str = ""
    outer: int | None = None
    selected_by: list[str] = field(default_factory=list)

    def to_json(self, root: Path) -> dict[str, Any]:
        """Return the model as JSON object, with its files relative to ``root``.

        Args:
            root: The project's folder. A model that is reused may lie in another one beside it.

        Raises:
            ModelReferenceError: A file lies elsewhere.
        """
        return {
            **asdict(self),
            "weights": _relative(self.weights, root),
            "pipeline": _relative(self.pipeline, root),
            "metrics": {
                name: value if math.isfinite(value) else None for name, value in self.metrics.items()
            },
            "predictions": {name: _relative(path, root) for name, path in self.predictions.items()},
        }

    @classmethod
    def from_json(cls, obj: dict[str, Any], root: Path) -> ModelStorage:
        """Return the model that ``to_json`` gave.

        Raises:
            ModelReferenceError: A field is missing, unknown or of another type, or a file lies neither in the
                project ``root`` nor in one beside it.
        """
        try:
            stored = msgspec.convert(obj, _StoredModel, strict=True)
        except msgspec.ValidationError as error:
            raise ModelReferenceError(f"This is no stored model: {error}.") from error
        return cls(
            **{
                **{name: getattr(stored, name) for name in stored.__struct_fields__},
                "weights": _absolute(stored.weights, root),
                "pipeline": _absolute(stored.pipeline, root),
                "metrics": {
                    name: math.nan if value is None else value for name, value in stored.metrics.items()
                },
                "predictions": {name: _absolute(path, root) for name, path in stored.predictions.items()},
            }
        )


def _relative(path: Path, root: Path) -> str:
    for form in (Path.absolute, Path.resolve):
        text = PurePath(os.path.relpath(form(path), form(root))).as_posix()
        if _is_among_projects(text):
            return text
    raise ModelReferenceError(
        f"The file '{path}' of a model lies outside of the results {root.parent}; save it at a path from "
        "construct_saving_path."
    )


def _absolute(text: str, root: Path) -> Path:
    if not _is_among_projects(text):
        raise ModelReferenceError(
            f"The stored model refers to {text!r}: that is no file of the project {root} or one beside it."
        )
    return Path(os.path.normpath(root / text))


def _is_among_projects(text: str) -> bool:
    """Whether a relative path leads into the project (``A/b``) or into one beside it (``../other/A/b``)."""
    path = PurePosixPath(text)
    beside = path.parts[:1] == ("..",)
    inside = path.parts[1:] if beside else path.parts
    return not path.is_absolute() and ".." not in inside and len(inside) > beside
