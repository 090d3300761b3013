"""Which samples of a task a training does not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mml_core.errors import MMLError


class NestedError(MMLError):
    """A task has too few folds for nested validation."""


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The folds that one training holds out.

    Attributes:
        fold: The one that validates: the training may choose by it.
        outer: Of nested validation: the one that nothing looks at until the model is finished, and that is
            reported.
    """

    fold: int
    outer: int | None = None

    def __str__(self) -> str:
        return f"fold {self.fold}" + ("" if self.outer is None else f", outer fold {self.outer}")

    @property
    def key(self) -> str:
        """What tells it apart in names of files and paths: ``0``, or ``1-outer0``."""
        return f"{self.fold}" + ("" if self.outer is None else f"-outer{self.outer}")

    @property
    def params(self) -> list[int]:
        """What the steps are called with; they are named as ever where nothing is nested."""
        return [self.fold] if self.outer is None else [self.fold, self.outer]


def holdouts(folds: Sequence[int], *, nested: bool, num_folds: int, task: str) -> Iterator[Holdout]:
    """Yield what each training holds out.

    Args:
        folds: The folds to hold out: those that validate or, nested, the outer ones, each of which has the
            next fold (after the last the first) to validate with.
        nested: Whether another fold than the one that validates is reported.
        num_folds: Folds of the task.
        task: Name of the task, for the message.

    Raises:
        NestedError: Nothing would be left to train on.
    """
    if nested and num_folds < 3:
        raise NestedError(
            f"mode.nested=true holds out two folds, and task '{task}' has {num_folds}; create it with"
            " mode.num_folds=3 or more."
        )
    for fold in folds:
        yield Holdout(fold=(fold + 1) % num_folds, outer=fold) if nested else Holdout(fold=fold)
