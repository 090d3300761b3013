"""Metrics of predictions: from one model's outputs on a split to values and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mml_core.learning.image_metrics import image_scores, needs_surface
from mml_core.learning.metrics import BY_TYPE, NO_LABEL, has_diverged, statistics_of
from mml_core.learning.options import OptionError, choose
from mml_core.learning.outputs import CLASSIFICATION, SEGMENTATION
from mml_core.learning.statistics import Statistic

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Metrics that are ready to be computed on any choice of the samples that have a target.

    Attributes:
        sample_ids: Names of these samples.
        subject_ids: Of which subject each is, None for those of none; None where no subjects are known.
        statistics: The metrics; empty where there are no such samples, or the model has diverged.
    """

    sample_ids: Sequence[str]
    subject_ids: Sequence[str | None] | None
    statistics: dict[str, Statistic]


def prepare(predictions: Predictions, names: Sequence[str], *, per_class: bool = False) -> Prepared | None:
    """Prepare metrics of predictions.

    Args:
        predictions: Of one split.
        names: Metrics.
        per_class: Whether the values of classes are given, too.

    Returns:
        None where the samples have no targets.

    Raises:
        OptionError: A metric is unknown, or a target is no class of the model.
    """
    task_type = predictions.output.task_type
    for name in names:
        choose(f"metric for {task_type} tasks", name, BY_TYPE[task_type])
    if predictions.targets is None:
        return None
    outputs, targets = _evidence(predictions, surface=needs_surface(names))
    kept = list(range(len(outputs)))
    if task_type == CLASSIFICATION:
        if len(targets) and int(targets.max()) >= predictions.output.width:
            raise OptionError(
                f"A target of task '{predictions.output.task}' is class {int(targets.max())}, and the model"
                f" has classes 0 to {predictions.output.width - 1}; evaluate it on its own task."
            )
        kept = torch.nonzero(targets != NO_LABEL).flatten().tolist()
        outputs, targets = outputs[kept], targets[kept]
    subjects = predictions.subject_ids
    usable = len(kept) > 0 and not has_diverged(task_type, outputs)
    return Prepared(
        sample_ids=[predictions.sample_ids[row] for row in kept],
        subject_ids=None if subjects is None else [subjects[row] for row in kept],
        statistics=statistics_of(task_type, names, outputs, targets, per_class=per_class) if usable else {},
    )


def evaluate(predictions: Predictions, names: Sequence[str]) -> dict[str, float]:
    """Compute metrics of predictions; samples without target do not count.

    Returns:
        Name → value, NaN where it is not defined; empty where the samples have no targets.

    Raises:
        OptionError: A metric is unknown, or a target is no class of the model.
    """
    prepared = prepare(predictions, names)
    if prepared is None:
        return {}
    once = np.ones((len(prepared.sample_ids), 1))
    return {
        name: float(prepared.statistics[name].under(once)[0, 0]) if prepared.statistics else math.nan
        for name in names
    }


def _evidence(predictions: Predictions, *, surface: bool) -> tuple[Tensor, Tensor]:
    outputs, targets, output = predictions.outputs, predictions.targets, predictions.output
    assert targets is not None
    if output.task_type != SEGMENTATION:
        assert isinstance(outputs, Tensor) and isinstance(targets, Tensor)
        return outputs, targets
    scores = [
        image_scores(mask[None], truth[None], output.width, surface=surface)
        for mask, truth in zip(outputs, targets, strict=True)
    ]
    return torch.cat(scores) if scores else torch.empty(0), torch.empty(len(scores))
