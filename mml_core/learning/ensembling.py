"""Ensembles over models and folds: which samples give weights, and who is combined on which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mml_core.learning.ensemble_weights import (
    FITTED_ON,
    GREEDY,
    MEAN,
    Greedy,
    scores_of,
    select_greedily,
    weights_by_score,
)
from mml_core.learning.ensembles import EnsembleError, aligned, combined, joined

if TYPE_CHECKING:
    from mml_core.learning.predictions import Predictions

HELD_OUT = ("test", "outer")
ALL_FOLDS = -1


@dataclass(frozen=True, kw_only=True)
class Member:
    """The predictions of one model, trained without some folds.

    Attributes:
        model: Name of the model, the same for all folds.
        slot: Name of the folds that it has not seen.
        parts: Split → predictions.
    """

    model: str
    slot: str
    parts: Mapping[str, Predictions]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Samples that are held out beside the validation fold; empty where validation is not nested."""
        return tuple(sorted(self.parts["outer"].sample_ids)) if "outer" in self.parts else ()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much models count, as the validation samples of some folds tell.

    Attributes:
        slots: These folds.
        models: Model → weight; they sum to 1.
        scores: Model → its score; empty where all count alike.
        samples: How many samples the scores are of.
    """

    slots: tuple[str, ...]
    models: Mapping[str, float]
    scores: Mapping[str, float]
    samples: int = 0


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Combined predictions.

    Attributes:
        slot: Of the models of one fold; empty: of all folds.
        predictions: One for each split.
        members: Split → predictions of each member, in the order of the combined ones.
    """

    slot: str
    predictions: Sequence[Predictions]
    members: Mapping[str, Sequence[Predictions]]


def fit_weights(
    members: Sequence[Member], method: str, metric: str, greedy: Greedy, *, average: str, seed: int
) -> list[Weights]:
    """Weigh models by their predictions of validation samples.

    A model is judged on the samples of all its validation folds together (each predicted by the one that has
    not seen it), and compared only with models that have predicted the same ones. Where validation is nested,
    what is outer for one model validates others: each outer fold has weights of its own, of which its samples
    are no part.

    Args:
        members: Each model with one or several folds.
        method: ``mean``, ``weighted`` or ``greedy``.
        metric: What weights follow.
        greedy: How members are selected.
        average: How predictions are combined.
        seed: Of what is drawn.

    Raises:
        EnsembleError: There is nothing to compare, models have predicted other samples, or a sample would
            give weights and be reported, too.
    """
    groups: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        groups.setdefault(member.unseen, []).append(member)
    return [_weigh(group, method, metric, greedy, average, seed) for group in groups.values()]


def combine_all(members: Sequence[Member], weights: Sequence[Weights], *, average: str) -> list[Ensemble]:
    """Combine the models of each fold, and those of all folds.

    The models of one fold are combined on all splits, and so can be calibrated later. Over folds only what
    none of them was trained on is combined, and only splits that are the same samples for all: the test
    split, and unlabelled samples.
    """
    weight = {
        (slot, model): each.models[model] for each in weights for slot in each.slots for model in each.models
    }
    slots: dict[str, list[Member]] = {}
    for member in members:
        slots.setdefault(member.slot, []).append(member)
    found = []
    for slot, group in slots.items():
        if len(group) > 1:
            shares = [weight[slot, member.model] for member in group]
            splits = [split for split in group[0].parts if all(split in each.parts for each in group)]
            found.append(_combine(slot, group, shares, splits, average))
    if len(slots) > 1:
        per_model: dict[str, int] = {}
        for member in members:
            per_model[member.model] = per_model.get(member.model, 0) + 1
        shares = [weight[member.slot, member.model] / per_model[member.model] for member in members]
        splits = [split for split in (*HELD_OUT, "unlabelled") if _is_shared(split, members)]
        if splits:
            found.append(_combine("", members, shares, splits, average))
    return found


def require_unseen(parts: Mapping[str, Predictions]) -> None:
    """Refuse predictions in which a validation sample is in a split that is reported, too.

    Raises:
        EnsembleError: One is.
    """
    fitted = set(parts[FITTED_ON].sample_ids) if FITTED_ON in parts else set()
    for split in HELD_OUT:
        both = fitted.intersection(parts[split].sample_ids) if split in parts else ()
        if both:
            output = parts[split].output
            raise EnsembleError(
                f"{len(both)} samples of task '{output.task}', such as '{min(both)}', are in its validation"
                f" fold and in split '{split}': what is fitted on them would be reported on them; create the"
                " task anew, with names and splits that differ."
            )


def _weigh(
    members: Sequence[Member], method: str, metric: str, greedy: Greedy, average: str, seed: int
) -> Weights:
    models: dict[str, dict[str, Member]] = {}
    for member in members:
        models.setdefault(member.model, {})[member.slot] = member
    slots = tuple(dict.fromkeys(member.slot for member in members))
    if method == MEAN:
        return Weights(slots=slots, models=dict.fromkeys(models, 1 / len(models)), scores={})
    task = next(iter(members[0].parts.values())).output.task
    if len(models) == 1:
        raise EnsembleError(
            f"mode.ensemble.method={method} compares models, and task '{task}' has one"
            f" ({', '.join(slots)}): its folds validate on different samples; set mode.ensemble.method=mean,"
            " or name more projects by reuse.predictions."
        )
    for model, folds in models.items():
        if set(folds) != set(slots):
            raise EnsembleError(
                f"mode.ensemble.method={method} compares models on the same validation samples, and {model}"
                f" of task '{task}' has {', '.join(folds)} where all of them have {', '.join(slots)}; choose"
                " what all have by mode.folds and mode.runs."
            )
    pooled: dict[str, list[Predictions]] = {model: [] for model in models}
    for slot in slots:
        for model in models:
            if FITTED_ON not in models[model][slot].parts:
                raise EnsembleError(
                    f"mode.ensemble.method={method} needs predictions of the split {FITTED_ON}, and {model},"
                    f" {slot} of task '{task}' has none; predict again, or set mode.ensemble.method=mean."
                )
            require_unseen(models[model][slot].parts)
        of_slot = aligned([models[model][slot].parts[FITTED_ON] for model in models])
        for model, part in zip(models, of_slot, strict=True):
            pooled[model].append(part)
    together = [joined(parts) for parts in pooled.values()]
    scores = scores_of(together, metric)
    shares = (
        select_greedily(together, metric, greedy, average=average, seed=seed)
        if method == GREEDY
        else weights_by_score(scores, metric)
    )
    return Weights(
        slots=slots,
        models=dict(zip(models, shares, strict=True)),
        scores=dict(zip(models, scores, strict=True)),
        samples=len(together[0].sample_ids),
    )


def _combine(
    slot: str, members: Sequence[Member], shares: Sequence[float], splits: Sequence[str], average: str
) -> Ensemble:
    predictions, by_split = [], {}
    for split in splits:
        together = aligned([member.parts[split] for member in members])
        found = combined(together, shares, average)
        predictions.append(found if slot else replace(found, fold=ALL_FOLDS))
        by_split[split] = together
    return Ensemble(slot=slot, predictions=predictions, members=by_split)


def _is_shared(split: str, members: Sequence[Member]) -> bool:
    """Whether all members have predicted a split that is not, by its nature, another one for each fold."""
    if not all(split in member.parts for member in members):
        return False
    return split != "outer" or len({member.unseen for member in members}) == 1
