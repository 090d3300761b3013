"""What of predictions is measured, and how: the config group ``metrics`` for one task type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mml_core.learning.intervals import Bootstrap
from mml_core.learning.metrics import metric_names
from mml_core.learning.options import OptionError, choose, require_known
from mml_core.learning.plots import PLOTS

NONE = "none"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is measured of predictions.

    Attributes:
        metrics: Names of metrics; the first leads in tables.
        per_class: Whether values of classes, labels or regression values are noted, too.
        intervals: How intervals are computed; None for none.
        plots: Names of plots.
    """

    metrics: tuple[str, ...]
    per_class: bool = False
    intervals: Bootstrap | None = None
    plots: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: dict[str, Any], task_type: str) -> EvaluationOptions:
        """Read the group ``metrics``; what it does not hold is off.

        Raises:
            OptionError: A metric, a plot or an option is unknown, or a value is none that can be used.
        """
        metrics = metric_names(config, task_type)
        per_class = config.get("per_class", False)
        if not isinstance(per_class, bool):
            raise OptionError(f"metrics.per_class must be true or false, found {per_class!r}.")
        plots = config.get("plots") or ()
        if isinstance(plots, str):
            raise OptionError(f"metrics.plots must be a list, found '{plots}'; write [{plots}].")
        for plot in plots:
            choose("plot", plot, PLOTS)
        return cls(
            metrics=metrics,
            per_class=per_class,
            intervals=_intervals(config.get("intervals")),
            plots=tuple(plots),
        )


def _intervals(config: Any) -> Bootstrap | None:
    if config is None:
        return None
    if not isinstance(config, Mapping):
        raise OptionError(
            f"metrics.intervals holds named options, found {config!r}; write"
            f" metrics.intervals.method={NONE} to compute none."
        )
    require_known("metrics.intervals", config, [field.name for field in fields(Bootstrap)])
    return None if config.get("method") in (NONE, None) else Bootstrap(**config)
