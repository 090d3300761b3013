"""What a test step computes of saved predictions: rows of metrics, and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mml_core.tasks.header import TaskType

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions
    from mml_core.learning.results import Score
    from mml_core.tasks.struct import TaskStruct


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics and plots of the predictions of one model.

    Attributes:
        rows: The metrics of all splits, those of classes among them.
        plots: File name → PNG.
    """

    rows: Sequence[Score]
    plots: Mapping[str, bytes]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Split → metric → value."""
        found: dict[str, dict[str, float]] = {}
        for row in self.rows:
            if row.class_name is None:
                found.setdefault(row.split, {})[row.metric] = row.value
        return found

    @property
    def confidence(self) -> float | None:
        """Of the intervals; None where none were computed."""
        return self.rows[0].confidence if self.rows else None

    @property
    def intervals(self) -> dict[str, dict[str, list[float]]]:
        """Split → metric → lower and upper bound; empty where none were computed."""
        found: dict[str, dict[str, list[float]]] = {}
        for row in self.rows:
            if row.class_name is None and row.low is not None and row.high is not None:
                found.setdefault(row.split, {})[row.metric] = [row.low, row.high]
        return found


def evaluate_all(
    parts: Sequence[Predictions], config: dict[str, Any], struct: TaskStruct, *, seed: int
) -> Evaluation:
    """Compute what the config group ``metrics`` asks for.

    Args:
        parts: Predictions of one model, split by split.
        config: The group ``metrics``.
        struct: The task; it has the names of classes.
        seed: Of the resamples of intervals.

    Raises:
        OptionError: The config asks for something unknown.
        PredictionsError: A target is no class of the model.
    """
    from mml_core.learning.evaluation import measure
    from mml_core.learning.evaluation_options import EvaluationOptions
    from mml_core.learning.plots import draw_plot

    names = names_of_values(struct)
    rows: list[Score] = []
    plots = {}
    for part in parts:
        options = EvaluationOptions.from_config(config, part.output.task_type)
        rows += measure(part, options, seed=seed, class_names=names)
        for name in options.plots:
            image = draw_plot(name, part, names)
            if image is not None:
                plots[f"{name}_{part.split}_fold{part.fold}.png"] = image
    return Evaluation(rows=rows, plots=plots)


def names_of_values(struct: TaskStruct) -> list[str]:
    """Return the names of what a metric has several values of: classes, labels, or values of a regression."""
    if struct.task_type is TaskType.REGRESSION:
        return list(struct.header.target_names)
    names = struct.class_names
    return names[1:] if struct.task_type is TaskType.SEGMENTATION else names
