"""What postprocessing changed: metrics before and after, with intervals, and the table of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mml_core.learning.outputs import CLASSIFICATION, MULTILABEL
from mml_core.schedulers.tables import show

if TYPE_CHECKING:
    from mml_core.learning.evaluation_options import EvaluationOptions
    from mml_core.learning.predictions import Predictions

PROPER = ("nll", "brier", "ece")
"""What calibration is judged by, beside the metrics of the config."""


def evaluation_options(config: dict[str, Any], task_type: str) -> EvaluationOptions:
    """Read the config group ``metrics``; of classes and labels, calibration is measured in any case.

    Raises:
        OptionError: A metric or an option is unknown.
    """
    from mml_core.learning.evaluation_options import EvaluationOptions

    options = EvaluationOptions.from_config(config, task_type)
    more = PROPER if task_type in (CLASSIFICATION, MULTILABEL) else ()
    return replace(options, metrics=tuple(dict.fromkeys((*options.metrics, *more))))


def changes(
    before: Sequence[Predictions],
    after: Sequence[Predictions],
    options: EvaluationOptions,
    *,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Measure predictions before and after, each before with the after beside it, on the same samples.

    Args:
        before: Of one split.
        after: Of the same split.
        options: What is measured, and how intervals are computed.
        seed: Of the resamples.

    Returns:
        Metric → ``before`` and ``after``, the means over predictions; ``change``, the second less the first;
        ``interval`` of the change, None where none is computed. Empty where there are no targets.
    """
    from mml_core.learning.comparison import compare
    from mml_core.learning.intervals import Bootstrap

    if any(each.targets is None for each in (*before, *after)):
        return {}
    how = options.intervals or Bootstrap(method="percentile", resamples=1)
    pairs = [[replace(each, fold=place) for place, each in enumerate(side)] for side in (after, before)]
    return {
        each.metric: {
            "before": each.second,
            "after": each.first,
            "change": each.difference.value,
            "interval": [each.difference.low, each.difference.high] if options.intervals else None,
        }
        for each in compare(pairs[0], pairs[1], options.metrics, how, seed=seed)
    }


def print_changes(compared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Print what each comparing step returned.

    Returns:
        Task → what was done → split → metric → before, after, change and its interval.
    """
    rows: list[dict[str, Any]] = []
    returned: dict[str, Any] = {}
    confidence = next((each["confidence"] for each in compared if each["confidence"]), None)
    for result in compared:
        for split, metrics in result["changes"].items():
            returned.setdefault(result["task"], {}).setdefault(result["done"], {})[split] = metrics
            for metric, found in metrics.items():
                rows.append(
                    {
                        "task": result["task"],
                        "done": result["done"],
                        "split": split,
                        "metric": metric,
                        "before": _number(found["before"]),
                        "after": _number(found["after"]),
                        "change": _change(found),
                        "of": result["of"],
                    }
                )
    if rows:
        interval = f", change with {100 * confidence:g} % interval" if confidence else ""
        columns = ["task", "done", "split", "metric", "before", "after", "change", "of"]
        show(rows, columns, title=f"Before and after{interval}")
    return returned


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"


def _change(found: Mapping[str, Any]) -> str:
    if not math.isfinite(found["change"]):
        return "-"
    bounds = found["interval"]
    if bounds is None or not all(map(math.isfinite, bounds)):
        return f"{found['change']:+.4f}"
    return f"{found['change']:+.4f} [{bounds[0]:+.4f}, {bounds[1]:+.4f}]"
