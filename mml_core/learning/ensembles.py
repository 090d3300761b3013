"""Ensembles: predictions of several models for the same samples, brought into one order and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mml_core.errors import MMLError
from mml_core.learning.outputs import REGRESSION, SEGMENTATION
from mml_core.learning.predictions import Predictions, by_name, relabelled, taken
from mml_core.learning.probabilities import as_array, logits_of, probabilities
from mml_core.learning.scaling import LARGEST_LOGIT
from mml_core.learning.statistics import Array

PROBABILITIES, LOGITS = AVERAGES = ("probabilities", "logits")


class EnsembleError(MMLError):
    """Predictions cannot be combined as asked."""


def aligned(members: Sequence[Predictions]) -> list[Predictions]:
    """Bring predictions of the same samples into one order, that of the first.

    Raises:
        EnsembleError: They are of other samples, other targets, or another head.
    """
    first = members[0]
    order = by_name(first.sample_ids)
    place = np.argsort(order)
    names = [first.sample_ids[row] for row in order]
    found = []
    for member in members:
        theirs = by_name(member.sample_ids)
        if member.output != first.output:
            raise EnsembleError(
                f"An ensemble needs one kind of outputs, found {member.output.width} of task"
                f" '{member.output.task}' beside {first.output.width} of task '{first.output.task}'; choose"
                " the runs by mode.runs."
            )
        if [member.sample_ids[row] for row in theirs] != names:
            missing = len(set(names) ^ set(member.sample_ids))
            raise EnsembleError(
                f"Members of an ensemble must have predicted the same samples: of split '{first.split}' of"
                f" task '{first.output.task}', fold {first.fold} and fold {member.fold}, {missing} are of one"
                " of both alone; choose runs with the same folds by mode.runs and mode.folds."
            )
        same = member if (theirs == order).all() else taken(member, theirs[place])
        if (same.targets is None) != (first.targets is None) or relabelled(first, same):
            raise EnsembleError(
                f"Members of an ensemble must have the same targets, and those of split '{first.split}' of"
                f" task '{first.output.task}' differ: the task was made anew in between; choose the runs by"
                " mode.runs."
            )
        found.append(same)
    return found


def combined(
    members: Sequence[Predictions], weights: Sequence[float], average: str = PROBABILITIES
) -> Predictions:
    """Combine predictions of the same samples in the same order.

    Of classes and labels probabilities are averaged (a linear pool), or logits (a logarithmic pool); of a
    regression its values. Segmentations vote pixel by pixel, as their predictions are masks: the class with
    the most weight wins, of several the first.

    Args:
        members: What :func:`aligned` gave.
        weights: One for each member, not negative, not all 0.
        average: ``probabilities`` or ``logits``.

    Returns:
        Predictions with the fold of the first member.
    """
    shares = np.asarray(weights, dtype=np.float64)
    used = [(member, share) for member, share in zip(members, shares / shares.sum(), strict=True) if share]
    first, task_type = members[0], members[0].output.task_type
    if task_type == SEGMENTATION:
        masks = zip(*(member.outputs for member, _ in used), strict=True)
        votes = [share for _, share in used]
        return replace(first, outputs=[_voted(list(each), votes, first.output.width) for each in masks])
    total: Array = np.zeros(1)
    for member, share in used:
        outputs = as_array(member.outputs)
        if task_type == REGRESSION:
            total = total + share * outputs
        elif average == LOGITS:
            total = total + share * np.clip(outputs, -LARGEST_LOGIT, LARGEST_LOGIT)
        else:
            total = total + share * probabilities(task_type, outputs)
    if task_type != REGRESSION and average == PROBABILITIES:
        total = logits_of(task_type, np.clip(total, 0.0, 1.0))
    return replace(first, outputs=torch.from_numpy(total).float())


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put predictions behind each other: those of one model's folds, each of samples of its own.

    Returns:
        Predictions with the fold of the first; without subjects.
    """
    first, others = parts[0], parts[1:]
    known = all(part.targets is not None for part in parts)
    return replace(
        first,
        sample_ids=[name for part in parts for name in part.sample_ids],
        outputs=_behind(first.outputs, *(part.outputs for part in others)),
        targets=_behind(*(part.targets for part in parts if part.targets is not None)) if known else None,
        subject_ids=None,
    )


def _behind(*values: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    if isinstance(values[0], Tensor):
        return torch.cat([each for each in values if isinstance(each, Tensor)])
    return [mask for each in values for mask in each]


def _voted(masks: list[Tensor], votes: list[float], classes: int) -> Tensor:
    shape = masks[0].shape
    if any(mask.shape != shape for mask in masks):
        sizes = " and ".join(str(tuple(mask.shape)) for mask in masks)
        raise EnsembleError(
            f"Masks of one image differ in size ({sizes}); predict again with one kind of preprocessing."
        )
    best, most = torch.zeros(shape, dtype=masks[0].dtype), torch.full(shape, -1.0, dtype=torch.float64)
    for index in range(classes):
        cast = sum((mask == index).double() * vote for mask, vote in zip(masks, votes, strict=True))
        assert isinstance(cast, Tensor)
        better = cast > most + 1e-12  # sums of equal votes may differ in their last bits
        best[better], most[better] = index, cast[better]
    return best
