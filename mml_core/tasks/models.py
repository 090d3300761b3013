"""What is kept of a trained model: where its files lie, and how it came about."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from mml_core.tasks.errors import TaskError


class ModelReferenceError(TaskError):
    """A stored model names files outside of the project, or is not written as one."""


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

    def to_json(self, root: Path) -> dict[str, Any]:
        """Return the model as JSON object, files below ``root`` (the project's folder) relative to it."""
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
        """Return the model that ``to_json`` gave, with its files below ``root``.

        Raises:
            ModelReferenceError: A field is missing, unknown or of another type, or a file leaves ``root``.
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
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:  # a reused model of another project
        return path.absolute().as_posix()


def _absolute(text: str, root: Path) -> Path:
    if ".." in PurePosixPath(text).parts:
        raise ModelReferenceError(f"The stored model refers to {text!r}, which leaves the folder {root}.")
    return root / text
