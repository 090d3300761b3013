"""What a training run shows at its end: metrics per task over folds, and the place of every file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mml_core.learning.results import summarise
from mml_core.schedulers.tables import show, show_files

Result = Mapping[str, Any]
Summary = Mapping[str, tuple[float, float, int]]


REPORTED = {"test": "test", "outer": "outer fold", "val": "validation"}
"""Splits in the order in which one is taken for the result, and what the table calls them."""


def print_report(tested: Sequence[Result], made: Sequence[Result], project: Path) -> dict[str, Any]:
    """Print the tables of a run.

    Args:
        tested: Returned values of the test steps.
        made: Returned values of all steps that made files.
        project: The project's folder; paths are shown relative to it.

    Returns:
        Task → metric → mean over folds on the test split (the outer folds of nested validation where there is
        none, else the validation folds); task → ``val/loss`` and other metrics of the last epoch for a run
        without test.
    """
    tasks = list(dict.fromkeys(str(result["task"]) for result in made))
    rows: list[dict[str, Any]] = []
    returned: dict[str, Any] = {}
    for task in tasks:
        folds = [result for result in tested if result["task"] == task]
        if not folds:
            trained = [result["metrics"] for result in made if result["task"] == task and "metrics" in result]
            returned[task] = {metric: mean for metric, (mean, _, _) in summarise(trained).items()}
            continue
        found = {split: summarise(fold["scores"].get(split, {}) for fold in folds) for split in REPORTED}
        lead = next((each for each in found.values() if each), {})
        returned[task] = {metric: mean for metric, (mean, _, _) in lead.items()}
        for metric, (_, _, count) in lead.items():
            cells = {name: _cell(metric, split, found[split], folds) for split, name in REPORTED.items()}
            rows.append({"task": task, "metric": metric, **cells, "folds": count})
    if rows:
        unused = [name for name in ("outer fold",) if all(row[name] == "-" for row in rows)]
        columns = ["task", "metric", *(name for name in REPORTED.values() if name not in unused), "folds"]
        show(rows, columns, title=_title(tested))
    order = {task: position for position, task in enumerate(tasks)}
    show_files(sorted(made, key=lambda result: order[str(result["task"])]), project)
    return returned


def _title(tested: Sequence[Result]) -> str:
    counts = Counter(str(result["task"]) for result in tested)
    found = [result["confidence"] for result in tested if result.get("confidence")]
    parts = ["mean ± standard deviation over folds"] if max(counts.values()) > 1 or not found else []
    if found and min(counts.values()) == 1:
        parts.append(f"[{100 * found[0]:g} % bootstrap interval]{' of one fold' if parts else ''}")
    if any(result.get("selected_by") for result in tested):
        parts.append("* by which the training chose")
    return f"Metrics, {', '.join(parts)}"


def _cell(metric: str, split: str, found: Summary, folds: Sequence[Result]) -> str:
    mean, std, count = found.get(metric, (math.nan, math.nan, 0))
    if not count:
        return "-"
    mark = " *" if split == "val" and any(fold.get("selected_by") for fold in folds) else ""
    return _value(mean, std, metric, split, folds) + mark


def _value(mean: float, std: float, metric: str, split: str, folds: Sequence[Result]) -> str:
    if not math.isnan(std):
        return f"{mean:.4f} ± {std:.4f}"
    bounds = folds[0].get("intervals", {}).get(split, {}).get(metric) if len(folds) == 1 else None
    if bounds is None or not all(map(math.isfinite, bounds)):
        return f"{mean:.4f}"
    return f"{mean:.4f} [{bounds[0]:.4f}, {bounds[1]:.4f}]"
