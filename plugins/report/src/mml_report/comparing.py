"""The models of a task against the best of them, and models over tasks, with their significance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mml_core.api import (
    LESS_IS_BETTER,
    Bootstrap,
    Comparison,
    MMLError,
    adjusted,
    compare,
    evaluate,
    holm,
    summarise_tasks,
)
from mml_report.html import note, table
from mml_report.sets import ModelSet

MOST = 20
"""So many sets of models of one task are compared, the newest."""
RESAMPLES, SEED = 1000, 42
"""Of the bootstrap, as ``mml compare`` has them."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The sets of models of one task by one metric.

    Attributes:
        task: The task.
        metric: The metric.
        sets: The sets that have a value, the best first.
        values: Their values, means over folds.
        left_out: Name of each set that cannot be compared → why.
    """

    task: str
    metric: str
    sets: Sequence[ModelSet]
    values: Sequence[float]
    left_out: Mapping[str, str]


def rank(task: str, metric: str, found: Sequence[ModelSet | tuple[str, str]]) -> Ranked:
    """Order the sets of a task.

    Args:
        task: The task.
        metric: Its leading metric.
        found: The sets, or for one that could not be read its name and why.
    """
    left_out = dict(each for each in found if isinstance(each, tuple))
    sets = [each for each in found if isinstance(each, ModelSet)]
    valued: list[tuple[float, ModelSet]] = []
    for number, each in enumerate(sets):
        value = _value(each, metric) if number < MOST else f"only the newest {MOST} are compared"
        if isinstance(value, str):
            left_out[each.name] = value
        else:
            valued.append((value, each))
    way = 1 if metric in LESS_IS_BETTER else -1
    valued.sort(key=lambda pair: (way * pair[0], pair[1].name))
    return Ranked(
        task=task,
        metric=metric,
        sets=[each for _, each in valued],
        values=[value for value, _ in valued],
        left_out=left_out,
    )


def _value(models: ModelSet, metric: str) -> float | str:
    try:
        values = [evaluate(part, [metric]).get(metric, math.nan) for part in models.parts]
    except MMLError as error:
        return str(error)
    mean = sum(values) / len(values)
    return mean if math.isfinite(mean) else f"{metric} is not defined on its predictions"


def against_best(ranked: Ranked) -> str:
    """Return the table of the models of one task; empty where there are not two.

    Models can be paired that were measured on one split and by the same folds; where there are several kinds,
    such as trainings and ensembles of all folds, each is compared to the best of its kind.
    """
    if len(ranked.sets) + len(ranked.left_out) < 2:
        return ""
    best: dict[tuple[str, tuple[int, ...]], ModelSet] = {}
    for each in ranked.sets:
        best.setdefault(_kind(each), each)
    found = {
        each.name: _compared(each, best[_kind(each)], ranked.metric)
        for each in ranked.sets
        if best[_kind(each)] is not each
    }
    known = {name: each for name, each in found.items() if isinstance(each, Comparison)}
    known = dict(zip(known, adjusted(list(known.values())), strict=True))
    lines: list[Sequence[object]] = []
    for each, value in zip(ranked.sets, ranked.values, strict=True):
        folds = ", ".join("all" if part.fold < 0 else str(part.fold) for part in each.parts)
        shown: Sequence[object] = (
            "the best" if len(best) == 1 else "the best of its folds",
            None,
            None,
            None,
        )
        if each.name in known:
            compared = known[each.name]
            shown = (_interval(compared), _p(compared.p_value), _p(compared.p_holm), None)
        elif each.name in found:
            shown = (None, None, None, found[each.name])
        lines.append((each.name, each.split, folds, value, *shown))
    for name, why in ranked.left_out.items():
        lines.append((name, None, None, None, None, None, None, why))
    columns = ("models", "split", "folds", ranked.metric, "difference to the best", "p", "p (Holm)")
    drawn = table(
        f"Models of {ranked.task} against the best", (*columns, "not compared because"), lines, "scores"
    )
    if not known:
        return drawn
    return drawn + note(
        f"Paired bootstrap of {RESAMPLES} resamples over the samples (or subjects) that both predicted, with"
        " its 95 % interval; Holm corrects for the number of models. The best was chosen by these samples: a"
        " small p-value tells two models apart, it does not say how good the best is elsewhere."
    )


def _kind(models: ModelSet) -> tuple[str, tuple[int, ...]]:
    return models.split, tuple(part.fold for part in models.parts)


def _compared(first: ModelSet, second: ModelSet, metric: str, *, quick: bool = False) -> Comparison | str:
    if first.split != second.split:
        return f"it has predictions of {first.split}, the other of {second.split}"
    how = Bootstrap(method="percentile", resamples=1) if quick else Bootstrap(resamples=RESAMPLES)
    try:
        (found,) = compare(first.parts, second.parts, [metric], how, seed=SEED)
    except MMLError as error:
        return str(error)
    return found


def over_tasks(ranked: Sequence[Ranked]) -> str:
    """Return the table of models that several tasks have against those that are best on most; or empty."""
    sets = [{each.name: each for each in task.sets} for task in ranked]
    wins: dict[str, int] = {}
    covered: dict[str, int] = {}
    for task in ranked:
        for place, each in enumerate(task.sets):
            covered[each.name] = covered.get(each.name, 0) + 1
            wins[each.name] = wins.get(each.name, 0) + (place == 0)
    several = sorted(name for name, count in covered.items() if count > 1)
    if len(several) < 2:
        return ""
    best = max(several, key=lambda name: (wins[name], covered[name], name))
    rows: list[tuple[object, ...]] = []
    p_values: list[float] = []
    for name in several:
        if name == best:
            continue
        found = [
            _compared(known[name], known[best], task.metric, quick=True)
            for task, known in zip(ranked, sets, strict=True)
            if name in known and best in known
        ]
        summaries = summarise_tasks([each for each in found if isinstance(each, Comparison)])
        why = next((each for each in found if isinstance(each, str)), "they have no task in common")
        if not summaries:
            rows.append((name, None, 0, None, None, None, None, None, why))
            p_values.append(math.nan)
        for told in summaries:
            one = None if told.tasks > 1 else "one task: nothing to test"
            p_values.append(told.p_value if one is None else math.nan)
            counts = (told.tasks, told.first_better, told.second_better)
            p = None if one else _p(told.p_value)
            rows.append((name, told.metric, *counts, told.median, p, None, one))
    corrected = [
        (*row[:7], _p(p) if math.isfinite(p) else None, row[8])
        for row, p in zip(rows, holm(p_values), strict=True)
    ]
    return table(
        f"Models over tasks against {best}: Wilcoxon's signed-rank test",
        (
            "models",
            "metric",
            "tasks",
            "better on",
            "worse on",
            "median difference",
            "p",
            "p (Holm)",
            "not tested because",
        ),
        corrected,
    ) + note(
        "Of n tasks the smallest p-value is 2 to the power of 1 - n: five tasks cannot reach 0.05 by"
        " themselves. Holm corrects for the rows of this table."
    )


def _interval(each: Comparison) -> str:
    found = each.difference
    if not math.isfinite(found.low):
        return f"{found.value:+.4f}"
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.1e}"
