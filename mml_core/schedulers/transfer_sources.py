"""Which stored model a transfer starts from: named, or chosen among those of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import OptionError, plain
from mml_core.learning.selection import Monitor

if TYPE_CHECKING:
    from mml_core.tasks.models import ModelStorage

PERFORMANCE, CREATED, RANDOM = "performance", "created", "random"
KINDS = (PERFORMANCE, CREATED, RANDOM)


class SourceError(MMLError):
    """There is no model to start from, or it must not be used for the tasks."""


@dataclass(frozen=True, kw_only=True)
class SourceRule:
    """Where the source of a transfer comes from.

    Attributes:
        task: The task whose models are candidates; None where a model is named.
        model: The JSON file of a stored model, or ``project#number``; None where a task is named.
        select: How one of several is chosen: by ``performance``, ``created`` (the newest) or ``random``.
        monitor: Of ``performance``: by which of the metrics of a model.
    """

    task: str | None
    model: str | None
    select: str
    monitor: Monitor

    @classmethod
    def from_config(cls, mode: Mapping[str, Any]) -> SourceRule:
        """Read ``pretrain_task``, ``model``, ``select`` and what belongs to it of a mode.

        Raises:
            OptionError: Nothing or both are named, or a value is impossible.
        """
        task, model = plain(mode.get("pretrain_task")), plain(mode.get("model"))
        if not task and not model:
            raise OptionError(
                "A transfer needs something to start from; set mode.pretrain_task=TASK, or mode.model=FILE"
                " (of a stored model) or project#number."
            )
        select = plain(mode.get("select")) or PERFORMANCE
        if select not in KINDS:
            raise OptionError(f"mode.select is {select!r}; write one of {', '.join(KINDS)}.")
        name, direction = mode.get("select_metric", "val/loss"), mode.get("select_direction", "auto")
        try:
            monitor = Monitor.of("mode", name, direction)
        except OptionError as error:
            text = str(error).replace("mode.monitor", "mode.select_metric")
            raise OptionError(text.replace("mode.direction", "mode.select_direction")) from error
        return cls(
            task=str(task) if task else None,
            model=str(model) if model else None,
            select=select,
            monitor=monitor,
        )

    def choose(self, candidates: Sequence[ModelStorage], draw: float) -> ModelStorage:
        """Return one of several models, by nothing but the models themselves, their order, and the draw.

        Args:
            candidates: The models, at least one, oldest first.
            draw: From 0 to below 1: which one, where the choice is random.

        Raises:
            SourceError: A model has no such metric, or none a number.
        """
        if len(candidates) == 1:
            return candidates[0]
        if self.select == RANDOM:
            return candidates[int(draw * len(candidates))]
        if self.select == CREATED:
            return max(enumerate(candidates), key=lambda each: (each[1].created, each[0]))[1]
        best, best_value = None, None
        for candidate in candidates:
            value = self._value(candidate)
            if self.monitor.improves(value, best_value):
                best, best_value = candidate, value
        if best is None:
            raise SourceError(
                f"mode.select=performance: {self.monitor.name} is NaN for all {len(candidates)} models;"
                " choose another mode.select_metric, or mode.select=created."
            )
        return best

    def _value(self, model: ModelStorage) -> float:
        if self.monitor.name not in model.metrics:
            raise SourceError(
                f"mode.select=performance: the model of run {model.run}, step {model.step}, has no"
                f" '{self.monitor.name}', only {', '.join(sorted(model.metrics)) or 'no metrics at all'}; set"
                " mode.select_metric to one that all models have."
            )
        return model.metrics[self.monitor.name]


def refuse_seen_folds(source: ModelStorage, task: str, folds: Sequence[int]) -> None:
    """Refuse to start from a model that was trained on the very samples that are to validate.

    Args:
        source: The model.
        task: The task that is trained next.
        folds: The folds of it that are held out.

    Raises:
        SourceError: The model is one of the same task, tags aside, that held out another fold.
    """
    same = source.task.partition("+")[0] == task.partition("+")[0]
    seen = [fold for fold in folds if source.task != task or fold not in (source.fold, source.outer)]
    if same and seen:
        raise SourceError(
            f"The model to start from was trained on task '{source.task}' with fold {source.fold} held out,"
            f" so it has seen the samples of fold {seen[0]} of '{task}' that validate; start from another"
            f" task, or set mode.folds=[{source.fold}]."
        )


def describe(source: ModelStorage, rule: SourceRule, candidates: int) -> dict[str, Any]:
    """Return a chosen model as the record of a step names it."""
    value = source.metrics.get(rule.monitor.name, math.nan)
    chosen = f"by {rule.select}, of {candidates}" if candidates > 1 else "the only one"
    return {
        "task": source.task,
        "fold": source.fold,
        "chosen": chosen,
        "metrics": {rule.monitor.name: value} if math.isfinite(value) else {},
        "run": source.run,
        "step": source.step,
        "weights": str(source.weights),
        "pipeline": str(source.pipeline),
    }
