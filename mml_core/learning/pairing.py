"""Pairing the predictions of two models, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

from mml_core.errors import MMLError
from mml_core.learning.predictions import Predictions, by_name, relabelled, taken

SHOWN = 3
"""How many samples an error names."""


class ComparisonError(MMLError):
    """Two models cannot be compared: their predictions are not of the same samples."""


def paired(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> list[tuple[Predictions, Predictions]]:
    """Return the predictions of two models on one split, fold by fold, with equal samples in equal order.

    Args:
        first: One of each fold.
        second: Of the same folds, or one of any fold where the first is one, too.

    Raises:
        ComparisonError: Tasks, folds, samples or targets differ.
    """
    pairs = [
        (taken(one, by_name(one.sample_ids)), taken(other, by_name(other.sample_ids)))
        for one, other in _pairs(first, second)
    ]
    for one, other in pairs:
        _check(one, other)
    return pairs


def _pairs(
    first: Sequence[Predictions], second: Sequence[Predictions]
) -> list[tuple[Predictions, Predictions]]:
    sides = [{each.fold: each for each in side} for side in (first, second)]
    if set(sides[0]) != set(sides[1]) and not len(first) == len(second) == 1:
        folds = [", ".join(map(str, sorted(side))) for side in sides]
        raise ComparisonError(
            f"The first model has predictions of the folds {folds[0]} of task '{first[0].output.task}', the"
            f" second of {folds[1]}; choose a fold that both have."
        )
    if len(first) == len(second) == 1:
        return [(first[0], second[0])]
    return [(sides[0][fold], sides[1][fold]) for fold in sorted(sides[0])]


def _check(first: Predictions, second: Predictions) -> None:
    task = first.output.task
    sides = [(each.output.task, each.output.task_type, each.output.width) for each in (first, second)]
    if sides[0] != sides[1]:
        raise ComparisonError(f"The models serve different tasks: {_shown(first)} and {_shown(second)}.")
    if list(first.sample_ids) != list(second.sample_ids):
        only = [
            set(one.sample_ids) - set(other.sample_ids) for one, other in ((first, second), (second, first))
        ]
        parts = [
            f"{len(names)} only in the {side} ({_some(names)})"
            for side, names in zip(("first", "second"), only, strict=True)
            if names
        ]
        raise ComparisonError(
            f"The predictions of split '{first.split}' of task '{task}' are not of the same samples:"
            f" {', '.join(parts) or 'some are there more than once'}; predict the same"
            " task again with both models."
        )
    differing = relabelled(first, second)
    if differing:
        raise ComparisonError(
            f"{len(differing)} samples of task '{task}' have other targets in the second model's predictions"
            f" ({_some(differing)}): the task was created anew; predict it again with both models."
        )


def _shown(predictions: Predictions) -> str:
    output = predictions.output
    return f"'{output.task}' ({output.task_type}, {output.width} outputs)"


def _some(names: Sequence[str] | set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "")
