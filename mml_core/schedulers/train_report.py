"""What a training run shows at its end: metrics per task over folds, and the place of every file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mml_core.learning.results import summarise
from mml_core.schedulers.tables import show

Result = Mapping[str, Any]


def print_report(tested: Sequence[Result], made: Sequence[Result], project: Path) -> dict[str, Any]:
    """Print the tables of a run.

    Args:
        tested: Returned values of the test steps.
        made: Returned values of all steps that made files.
        project: The project's folder; paths are shown relative to it.

    Returns:
        Task → metric → mean over folds on the test split (the validation folds where there is none); task →
        ``val/loss`` and other metrics of the last epoch for a run without test.
    """
    tasks = list(dict.fromkeys(str(result["task"]) for result in made))
    rows = []
    returned: dict[str, Any] = {}
    for task in tasks:
        folds = [result["scores"] for result in tested if result["task"] == task]
        if not folds:
            trained = [result["metrics"] for result in made if result["task"] == task and "metrics" in result]
            returned[task] = {metric: mean for metric, (mean, _, _) in summarise(trained).items()}
            continue
        val = summarise(scores.get("val", {}) for scores in folds)
        test = summarise(scores.get("test", {}) for scores in folds)
        returned[task] = {metric: mean for metric, (mean, _, _) in (test or val).items()}
        for metric in test or val:
            rows.append(
                {
                    "task": task,
                    "metric": metric,
                    "test": _mean_and_std(test.get(metric)),
                    "validation": _mean_and_std(val.get(metric)),
                    "folds": (test or val)[metric][2],
                }
            )
    if rows:
        title = "Metrics, mean ± standard deviation over folds"
        show(rows, ["task", "metric", "test", "validation", "folds"], title=title)
    show(_file_rows(made, tasks, project), ["task", "key", "files"], title=f"Files in {project}")
    return returned


def _mean_and_std(summary: tuple[float, float, int] | None) -> str:
    if summary is None or not summary[2]:
        return "-"
    mean, std, _ = summary
    return f"{mean:.4f}" if math.isnan(std) else f"{mean:.4f} ± {std:.4f}"


def _file_rows(made: Sequence[Result], tasks: Sequence[str], project: Path) -> list[dict[str, str]]:
    places: dict[tuple[str, str], list[str]] = {}
    for result in made:
        for key, path in result["files"].items():
            places.setdefault((str(result["task"]), key), []).append(_below(path, project))
    order = {task: position for position, task in enumerate(tasks)}
    return [
        {"task": task, "key": key, "files": braced(paths)}
        for (task, key), paths in sorted(places.items(), key=lambda entry: order[entry[0][0]])
    ]


def braced(paths: Sequence[str]) -> str:
    """Return paths as one word a shell expands: what differs stands in braces."""
    if len(paths) == 1:
        return paths[0]
    start = _common_start(paths)
    end = _common_start([path[len(start) :][::-1] for path in paths])[::-1]
    middles = [path[len(start) : len(path) - len(end)] for path in paths]
    return f"{start}{{{','.join(middles)}}}{end}"


def _common_start(texts: Sequence[str]) -> str:
    shortest = min(texts, key=len)
    length = next((at for at in range(len(shortest)) if len({text[at] for text in texts}) > 1), len(shortest))
    return shortest[:length]


def _below(path: str, project: Path) -> str:
    place = Path(path)
    return place.relative_to(project).as_posix() if place.is_relative_to(project) else str(place)
