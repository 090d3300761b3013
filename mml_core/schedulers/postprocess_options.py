"""The config of the mode ``postprocess``, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mml_core.learning.calibration import check_method
from mml_core.learning.ensemble_weights import LEADING, MEAN, METHODS, Greedy
from mml_core.learning.ensembles import AVERAGES
from mml_core.learning.metrics import BY_TYPE
from mml_core.learning.options import OptionError, choose, is_number, plain, require_known, section
from mml_core.learning.outputs import TaskOutput
from mml_core.learning.prior_shift import check_shiftable, checked_priors

AUTO, ESTIMATE = "auto", "estimate"
KINDS = ("raw", "calibrated", "ensemble")
GREEDY_KEYS = ("rounds", "initial", "bags", "bag_share")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """How predictions of one task are calibrated.

    Attributes:
        method: Of calibration.
        l2: How strongly it is held to the identity.
        priors: Frequencies of classes to correct for; ``estimate``; None for no correction.
        source_priors: Frequencies it was calibrated at; None for those of the validation samples.
    """

    method: str
    l2: float
    priors: Sequence[float] | str | None = None
    source_priors: Sequence[float] | None = None

    @classmethod
    def from_config(cls, mode: Any, output: TaskOutput) -> CalibrationOptions:
        """Read ``mode.calibration`` for a task.

        Raises:
            OptionError: An option is unknown, or l2 is no number from 0.
            CalibrationError: The task's type does not have the method, or priors are impossible.
        """
        config = section(mode, "calibration")
        require_known("mode.calibration", config, ("method", "l2", "priors", "source_priors"))
        method, l2 = str(config.get("method", "temperature")), config.get("l2", 1.0)
        if not is_number(l2) or not 0 <= l2 < math.inf:
            raise OptionError(f"mode.calibration.l2 must be a number from 0, found {l2!r}.")
        check_method(method, output)
        priors, source = (_of_task(config.get(key), output.task) for key in ("priors", "source_priors"))
        if priors is not None:
            check_shiftable(output.task, output.task_type)
            if priors != ESTIMATE:
                priors = checked_priors(priors, output.width, "mode.calibration.priors").tolist()
            if source is not None:
                source = checked_priors(source, output.width, "mode.calibration.source_priors").tolist()
        return cls(method=method, l2=float(l2), priors=priors, source_priors=source)


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """How predictions of one task are combined.

    Attributes:
        method: ``mean``, ``weighted`` or ``greedy``.
        average: ``probabilities`` or ``logits``.
        metric: What weights follow.
        greedy: How members are selected.
    """

    method: str
    average: str
    metric: str
    greedy: Greedy

    @classmethod
    def from_config(cls, mode: Any, task_type: str) -> EnsembleOptions:
        """Read ``mode.ensemble`` for a task.

        Raises:
            OptionError: An option is unknown.
            EnsembleError: A number is out of its range.
        """
        config = section(mode, "ensemble")
        require_known("mode.ensemble", config, ("method", "average", "metric", *GREEDY_KEYS))
        metric = config.get("metric", AUTO)
        metric = LEADING[task_type] if metric in (AUTO, None) else str(metric)
        choose(f"metric for {task_type} tasks", metric, BY_TYPE[task_type])
        found = cls(
            method=str(config.get("method", MEAN)),
            average=str(config.get("average", AVERAGES[0])),
            metric=metric,
            greedy=Greedy(**{key: config[key] for key in GREEDY_KEYS if key in config}),
        )
        choose("mode.ensemble.method", found.method, dict.fromkeys(METHODS))
        choose("mode.ensemble.average", found.average, dict.fromkeys(AVERAGES))
        return found


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which predictions are taken.

    Attributes:
        kind: ``raw``, ``calibrated`` or ``ensemble``.
        runs: ``all``, ``newest``, or names of runs.
        folds: Validation folds; None for all.
    """

    kind: str
    runs: str | Sequence[str]
    folds: Sequence[int] | None

    @classmethod
    def from_config(cls, mode: Any) -> Choice:
        """Read ``mode.predictions``, ``mode.runs`` and ``mode.folds``.

        Raises:
            OptionError: One of them is impossible.
        """
        kind, runs, folds = (plain(mode.get(key)) for key in ("predictions", "runs", "folds"))
        kind = KINDS[0] if kind is None else str(kind)
        choose("mode.predictions", kind, dict.fromkeys(KINDS))
        runs = "all" if runs is None else runs
        if runs not in ("all", "newest") and not (isinstance(runs, list) and runs):
            raise OptionError(f"mode.runs must be all, newest or a list of runs, found {runs!r}.")
        if folds in (None, "all"):
            folds = None
        elif not isinstance(folds, list) or not all(type(fold) is int for fold in folds) or not folds:
            raise OptionError(f"mode.folds must be all or a list of fold numbers, found {folds!r}.")
        return cls(kind=kind, runs=runs if isinstance(runs, str) else [str(run) for run in runs], folds=folds)


def _of_task(given: Any, task: str) -> Any:
    return given.get(task) if isinstance(given, dict) else given
