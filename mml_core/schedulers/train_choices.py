"""What a training run works on: folds, and models and predictions of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import plain
from mml_core.schedulers.holdouts import Holdout

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions
    from mml_core.tasks.models import ModelStorage
    from mml_core.tasks.struct import TaskStruct


class FoldsError(MMLError):
    """``mode.folds`` asks for folds that a task does not have."""


class NoModelError(MMLError):
    """There is no model, or no predictions, to go on with."""


def chosen_folds(asked: Any, struct: TaskStruct) -> list[int]:
    """Read ``mode.folds`` for a task.

    Args:
        asked: ``all``, the first so many (a number), or a list of fold numbers.
        struct: The task.

    Raises:
        FoldsError: If the task has no such folds.
    """
    asked = plain(asked)
    available = list(range(struct.num_folds))
    if not available:
        raise FoldsError(
            f"Task '{struct.name}' has no folds, so none can be held out for validation; create it with"
            " training samples and mode.num_folds."
        )
    if asked is None or asked == "all":
        return available
    if isinstance(asked, int) and not isinstance(asked, bool):
        if not 1 <= asked <= len(available):
            raise FoldsError(
                f"mode.folds={asked}: task '{struct.name}' has {len(available)} folds; choose 1 to"
                f" {len(available)}, a list, or all."
            )
        return available[:asked]
    if isinstance(asked, list) and asked:
        for fold in asked:
            if fold not in available or isinstance(fold, bool):
                raise FoldsError(f"mode.folds: task '{struct.name}' has no fold {fold!r}, only {available}.")
        return list(dict.fromkeys(asked))
    raise FoldsError(f"mode.folds must be all, a number or a list of folds, found {asked!r}.")


def require_predictions(struct: TaskStruct, held_out: Sequence[Holdout]) -> None:
    """Refuse to plan tests of predictions that no step makes and no reuse gives.

    Raises:
        NoModelError: If no predictions are reused.
        FoldsError: If several folds are asked for: reused predictions are one file, of one fold.
    """
    if "predictions" not in struct.paths:
        raise NoModelError(
            f"Task '{struct.name}' has no predictions to test; add the subroutine predict, or"
            " reuse.predictions=<project>."
        )
    if len(held_out) > 1:
        raise FoldsError(
            f"reuse.predictions gives one file per task, with the predictions of one fold; task"
            f" '{struct.name}' is to be tested on folds {', '.join(str(each.fold) for each in held_out)}."
            " Choose one by mode.folds=[…], or predict again with reuse.models=<project>."
        )


def newest_model(struct: TaskStruct, holdout: Holdout) -> ModelStorage:
    """Return the last model of a task for whose training just these folds were held out.

    Raises:
        NoModelError: If there is none.
    """
    own = [model for model in struct.models if model.task == struct.name]
    for model in reversed(own):
        if (model.fold, model.outer) == (holdout.fold, holdout.outer):
            return model
    found = "; ".join(str(Holdout(fold=model.fold, outer=model.outer)) for model in own) or "none"
    raise NoModelError(
        f"Task '{struct.name}' has no model of {holdout} (models there are: {found}); add the subroutine"
        " train, or reuse.models=<project>, and set mode.nested as it was for the training."
    )


def predictions_path(struct: TaskStruct, holdout: Holdout) -> Path:
    """Return the file with the predictions of a fold: what this run predicted, else what is reused.

    Raises:
        NoModelError: If there is none.
    """
    path = struct.paths.get(f"predictions_{holdout.key}", struct.paths.get("predictions"))
    if path is None:
        raise NoModelError(
            f"Task '{struct.name}', {holdout}, has no predictions to test; add the subroutine predict, or"
            " reuse.predictions=<project>."
        )
    return path


def check_predictions(path: Path, parts: Sequence[Predictions], task: str, holdout: Holdout) -> None:
    """Refuse predictions of another task, fold, or way of validation.

    Raises:
        FoldsError: They are not those of the task and fold.
    """
    for part in parts:
        if (part.output.task, part.fold) != (task, holdout.fold):
            raise FoldsError(
                f"Predictions {path} are those of task '{part.output.task}', fold {part.fold}, not of task"
                f" '{task}', fold {holdout.fold}; set mode.folds=[{part.fold}], or add the subroutine"
                " predict."
            )
    nested = any(part.split == "outer" for part in parts)
    if nested != (holdout.outer is not None):
        found, other = ("with", "true") if nested else ("without", "false")
        raise FoldsError(
            f"Predictions {path} are those of a model trained {found} an outer fold; set mode.nested={other},"
            " or add the subroutine predict."
        )
