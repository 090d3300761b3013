"""Compare two models on the same samples: a file of predictions, a stored model or a project each.

Each metric's difference (first less second) has a bootstrap interval and a p-value; over several tasks there
are Wilcoxon's signed-rank test and Holm's correction.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mml_core.cli.parsing import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mml_core.learning.comparison import Comparison, Summary
    from mml_core.learning.intervals import Bootstrap

VALIDATION = ("val", "train")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = "predictions (.parquet), a stored model (.json), or a project"
    parser.add_argument("first", metavar="A", help=what)
    parser.add_argument("second", metavar="B", help="the same of the model to compare with")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="a metric; may be repeated"
    )
    parser.add_argument(
        "--task", action="append", default=[], metavar="NAME", help="this task of projects only"
    )
    parser.add_argument("--split", help="default: test, else outer, val or train, whichever both have")
    parser.add_argument("--fold", type=int, help="models of this fold only (default: the mean over folds)")
    parser.add_argument("--method", default="bca", help="of intervals: bca (default) or percentile")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    parser.add_argument("--confidence", type=float, default=0.95, help="of intervals (default: 0.95)")
    parser.add_argument("--seed", type=int, default=42, help="of the resamples (default: 42)")
    parser.add_argument(
        "--ignore-subjects", action="store_true", help="draw samples though subjects are known"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the comparison on each task that both models have, and over tasks."""
    from mml_core.config.locations import resolve_locations
    from mml_core.learning.comparison import adjusted, summarise_tasks
    from mml_core.learning.intervals import Bootstrap
    from mml_core.learning.prediction_sources import find_predictions

    how = Bootstrap(
        method=args.method,
        resamples=args.resamples,
        confidence=args.confidence,
        by_subject=not args.ignore_subjects,
    )
    results = resolve_locations().results
    first, second = (find_predictions(source, results) for source in (args.first, args.second))
    tasks = _common_tasks(first, second, args.task)
    found = adjusted([row for task in tasks for row in _compare(first[task], second[task], how, args)])
    if args.metric:
        _require_used(args.metric, found)
    summaries = summarise_tasks(found) if len(tasks) > 1 else []
    if args.json:
        _print_json(args, how, found, summaries)
    else:
        _print_tables(args, how, found, summaries)
    return 0


def _common_tasks(first: dict[str, Any], second: dict[str, Any], asked: list[str]) -> list[str]:
    from mml_core.errors import near_matches

    common = [task for task in first if task in second]
    for task in asked:
        if task not in common:
            raise UsageError(
                f"Task '{task}' is not predicted by both models.{near_matches(task, common)} Tasks of both:"
                f" {', '.join(common) or 'none'}."
            )
    if not common:
        raise UsageError(
            f"The models have no task in common: the first has {', '.join(first)}, the second"
            f" {', '.join(second)}."
        )
    return [task for task in common if task in asked or not asked]


def _compare(
    first: list[Path], second: list[Path], how: Bootstrap, args: argparse.Namespace
) -> list[Comparison]:
    from mml_core.learning.comparison import compare
    from mml_core.learning.prediction_sources import common_split, parts_of

    split = args.split or common_split(first, second)
    sides = [parts_of(files, split) for files in (first, second)]
    if args.fold is not None:
        sides = [[part for part in side if part.fold == args.fold] for side in sides]
    for name, side in zip(("first", "second"), sides, strict=True):
        if not side:
            of_fold = "" if args.fold is None else f", fold {args.fold}"
            raise UsageError(
                f"The {name} model has no predictions of split '{split}'{of_fold}; choose another."
            )
    metrics = _metrics_for(sides[0][0].output.task_type, args.metric)
    return compare(sides[0], sides[1], metrics, how, seed=args.seed)


def _metrics_for(task_type: str, asked: list[str]) -> list[str]:
    """Return the metrics that were asked for and that a task of this type has, else those of the config."""
    from mml_core.errors import near_matches
    from mml_core.learning.metrics import BY_TYPE

    known = {name for names in BY_TYPE.values() for name in names}
    for name in asked:
        if name not in known:
            raise UsageError(f"There is no metric '{name}'.{near_matches(name, known)}")
    return [name for name in asked if name in BY_TYPE[task_type]] if asked else _configured(task_type)


def _configured(task_type: str) -> list[str]:
    from importlib.resources import files

    from omegaconf import OmegaConf

    from mml_core.learning.options import plain

    text = (files("mml_core.config") / "conf" / "metrics" / "default.yaml").read_text(encoding="utf-8")
    return list(plain(OmegaConf.create(text))[task_type])


def _require_used(asked: list[str], found: list[Comparison]) -> None:
    for name in asked:
        if all(each.metric != name for each in found):
            raise UsageError(f"No task that is compared has the metric '{name}'; choose one of its type.")


def _print_tables(
    args: argparse.Namespace, how: Bootstrap, found: list[Comparison], summaries: list[Summary]
) -> None:
    from mml_core.schedulers.tables import show

    rows = [
        {
            "task": each.task,
            "metric": each.metric,
            "first": f"{each.first:.4f}",
            "second": f"{each.second:.4f}",
            "difference": f"{each.difference.value:+.4f}"
            f" [{each.difference.low:+.4f}, {each.difference.high:+.4f}]",
            "p": _p(each.p_value),
            "p (Holm)": _p(each.p_holm),
            "split": each.split,
            "folds": each.folds,
            "units": each.units,
        }
        for each in found
    ]
    several = ["p (Holm)"] if summaries else []
    columns = ["task", "metric", "first", "second", "difference", "p", *several, "split", "folds", "units"]
    title = f"first {args.first}, second {args.second}, difference with {100 * how.confidence:g} % interval"
    show(rows, columns, title=title)
    if any(each.split in VALIDATION for each in found):
        print("Validation samples may have chosen these models: what they show is too good.")
    if summaries:
        overall = [
            {
                "metric": each.metric,
                "tasks": each.tasks,
                "first better": each.first_better,
                "second better": each.second_better,
                "median difference": f"{each.median:+.4f}",
                "p": _p(each.p_value),
                "p (Holm)": _p(each.p_holm),
            }
            for each in summaries
        ]
        show(overall, list(overall[0]), title="Over tasks, Wilcoxon's signed-rank test")


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 1e-4 else f"{value:.1e}"


def _print_json(
    args: argparse.Namespace, how: Bootstrap, found: list[Comparison], summaries: list[Summary]
) -> None:
    import json
    from dataclasses import asdict

    content = {
        "first": args.first,
        "second": args.second,
        "intervals": {**asdict(how), "seed": args.seed},
        "comparisons": [asdict(each) for each in found],
        "over_tasks": [asdict(each) for each in summaries],
    }
    print(json.dumps(_without_nan(content), indent=2))


def _without_nan(value: Any) -> Any:
    """Turn what JSON cannot hold into null."""
    import math

    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
