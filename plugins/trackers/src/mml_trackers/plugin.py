"""What this distribution contributes to mml: an observer of runs that are to be tracked, off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mml_core.plugins import ConfigDir, MetricsView, Outcome, RunView, StepView, hookimpl

if TYPE_CHECKING:
    from mml_trackers.observing import Observer

MML_PLUGIN_API = 1


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Name the folder with logging=mlflow, logging=wandb and logging=mlflow_wandb."""
    return [ConfigDir(package="mml_trackers")]


@hookimpl
def mml_run_started(run: RunView) -> None:
    """Begin the journal of a run that is to be tracked, and start what copies it to the trackers."""
    for observer in _observers(run):
        observer.run_started()


@hookimpl
def mml_step_started(run: RunView, step: StepView) -> None:
    """Begin the journal of a step."""
    for observer in _observers(run):
        observer.step_started(step)


@hookimpl
def mml_metrics_logged(run: RunView, step: StepView, metrics: MetricsView) -> None:
    """Note what a training logged."""
    for observer in _observers(run):
        observer.metrics_logged(step, metrics)


@hookimpl
def mml_step_finished(run: RunView, step: StepView, outcome: Outcome) -> None:
    """Note what a step returned."""
    for observer in _observers(run):
        observer.step_finished(step, outcome)


@hookimpl
def mml_run_finished(run: RunView, outcome: Outcome) -> None:
    """Let the trackers have all of the run, and wait for that."""
    for observer in _observers(run):
        observer.run_finished(outcome)


def _observers(run: RunView) -> list[Observer]:
    """Return the observer of a run in a list, an empty one where it is not tracked."""
    logging = run.config.get("logging") or {}
    if run.dir is None or not any(logging.get(tracker) is not None for tracker in ("mlflow", "wandb")):
        return []
    from mml_trackers.observing import Observer

    return [Observer(run, run.dir)]
