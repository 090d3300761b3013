"""What postprocessing needs of predictions, checked when a run is planned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mml_core.errors import MMLError
from mml_core.learning.options import section

if TYPE_CHECKING:
    from mml_core.schedulers.postprocess_sources import Source


class PostprocessError(MMLError):
    """Predictions lack what postprocessing needs of them."""


def check_sources(task: str, sources: Sequence[Source], cfg: Any, *, calibrate: bool, ensemble: bool) -> None:
    """Refuse what the steps would fail by, while there is no run yet that would have to be continued.

    Args:
        task: Name of the task.
        sources: Its predictions, at least one file.
        cfg: The config.
        calibrate: Whether they are calibrated.
        ensemble: Whether they are combined.

    Raises:
        PostprocessError: A split is missing, or there are too few models.
        MMLError: An option is unknown, or does not fit the task.
    """
    from mml_core.learning.ensemble_weights import MEAN
    from mml_core.schedulers.postprocess_evaluation import evaluation_options
    from mml_core.schedulers.postprocess_options import CalibrationOptions, EnsembleOptions

    output = sources[0].holds.output
    evaluation_options(section(cfg, "metrics"), output.task_type)
    if calibrate:
        CalibrationOptions.from_config(cfg["mode"], output)
    method = MEAN
    if ensemble:
        method = EnsembleOptions.from_config(cfg["mode"], output.task_type).method
        _check_models(task, sources, method, weighing=method != MEAN)
    for source in sources:
        _check_splits(source, fitting=calibrate or method != MEAN)


def _check_splits(source: Source, *, fitting: bool) -> None:
    from mml_core.learning.ensembling import HELD_OUT

    where = f"The predictions {source.path} of project '{source.project}'"
    splits = source.holds.splits
    if fitting and "val" not in splits:
        raise PostprocessError(
            f"{where} have no split val to fit on, but {', '.join(splits)}; leave the run out by mode.runs,"
            " or predict again."
        )
    if not any(split in splits for split in (*HELD_OUT, "unlabelled")):
        raise PostprocessError(
            f"{where} have nothing but the split {', '.join(splits)}: what is fitted on val has to be applied"
            " to other samples; create the task with a test split, or train with mode.nested=true."
        )


def _check_models(task: str, sources: Sequence[Source], method: str, *, weighing: bool) -> None:
    if len(sources) == 1:
        raise PostprocessError(
            f"An ensemble needs several files of predictions, and task '{task}' has one, {sources[0].path} of"
            f" project '{sources[0].project}'; set mode.subroutines=[calibrate], or name more projects by"
            " reuse.predictions=[…]."
        )
    if weighing and len({source.model for source in sources}) == 1:
        raise PostprocessError(
            f"mode.ensemble.method={method} compares models on the same validation samples, and all"
            f" predictions of task '{task}' are folds of one model; set mode.ensemble.method=mean, or name"
            " more projects by reuse.predictions=[…]."
        )
