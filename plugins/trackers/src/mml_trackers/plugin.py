"""What this distribution contributes to mml: an observer of runs that are to be tracked, off by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mml_core.plugins import ConfigDir, Outcome, RunView, StepView, hookimpl

MML_PLUGIN_API = 1


@hookimpl
def mml_config_dirs() -> list[ConfigDir]:
    """Name the folder with logging=mlflow, logging=wandb and logging=mlflow_wandb."""
    return [ConfigDir(package="mml_trackers")]


@hookimpl
def mml_scheduler_created(scheduler: Any) -> None:
    """Begin to observe a run that is to be tracked."""
    logging = scheduler.cfg.get("logging") or {}
    if any(logging.get(tracker) is not None for tracker in ("mlflow", "wandb")):
        from mml_trackers import observing

        observing.observe(scheduler)


@hookimpl
def mml_step_started(scheduler: Any, step: StepView) -> None:
    """Begin the journal of a step."""
    for observer in _observers(scheduler):
        observer.step_started(step)


@hookimpl
def mml_step_finished(scheduler: Any, step: StepView, outcome: Outcome) -> None:
    """Note what a step returned."""
    for observer in _observers(scheduler):
        observer.step_finished(step, outcome)


@hookimpl
def mml_trainer_callbacks(scheduler: Any, task: Any) -> Iterable[Any]:
    """Add what notes the metrics of each epoch."""
    return [callback for observer in _observers(scheduler) for callback in observer.callbacks()]


@hookimpl
def mml_run_started(run: RunView) -> None:
    """Start what copies the journal to the trackers."""
    for observer in _observers(run.id):
        observer.run_started(run)


@hookimpl
def mml_run_finished(run: RunView, outcome: Outcome) -> None:
    """Let the trackers have all of the run, and wait for that."""
    for observer in _observers(run.id):
        observer.run_finished(run, outcome)


def _observers(of: Any) -> list[Any]:
    """Return the observer of a scheduler or a run in a list, an empty one where it is not tracked."""
    import sys

    module = sys.modules.get("mml_trackers.observing")  # imported by the first run that is tracked
    found = module.observer_of(of) if module is not None else None
    return [] if found is None else [found]
