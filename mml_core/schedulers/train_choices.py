"""What a training run works on: folds, and models and predictions of earlier runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import plain

if TYPE_CHECKING:
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


def require_predictions(struct: TaskStruct, folds: list[int]) -> None:
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
    if len(folds) > 1:
        raise FoldsError(
            f"reuse.predictions gives one file per task, with the predictions of one fold; task"
            f" '{struct.name}' is to be tested on folds {', '.join(map(str, folds))}. Choose one by"
            " mode.folds=[…], or predict again with reuse.models=<project>."
        )


def newest_model(struct: TaskStruct, fold: int) -> ModelStorage:
    """Return the last model of a task whose validation fold is ``fold``.

    Raises:
        NoModelError: If there is none.
    """
    for model in reversed(struct.models):
        if model.fold == fold and model.task == struct.name:
            return model
    found = ", ".join(str(model.fold) for model in struct.models) or "none"
    raise NoModelError(
        f"Task '{struct.name}' has no model of fold {fold} (folds with a model: {found}); add the"
        " subroutine train, or reuse.models=<project>."
    )


def predictions_path(struct: TaskStruct, fold: int) -> Path:
    """Return the file with the predictions of a fold: what this run predicted, else what is reused.

    Raises:
        NoModelError: If there is none.
    """
    path = struct.paths.get(f"predictions_{fold}", struct.paths.get("predictions"))
    if path is None:
        raise NoModelError(
            f"Task '{struct.name}', fold {fold}, has no predictions to test; add the subroutine predict, or"
            " reuse.predictions=<project>."
        )
    return path
