"""Hooks that are called while mml works: to find a task, to observe runs and steps, to add callbacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mml_core.plugins.markers import hookspec
from mml_core.plugins.records import TaskSpec
from mml_core.plugins.views import MetricsView, Outcome, RunView, StepView


@hookspec(firstresult=True)
def mml_find_task(name: str) -> TaskSpec | None:
    """Find a task of a dynamic family, whose members nobody can list.

    Called when a task is asked for that is neither installed nor contributed. The first plugin
    that knows it wins.

    Args:
        name: The task's name, without tags.

    Returns:
        A record, or ``None`` where the name means nothing to this plugin.

    Example:
        ::

            @hookimpl
            def mml_find_task(name):
                if name.startswith("stars_of_"):
                    return TaskSpec(
                        name=name,
                        dataset="stars",
                        create="mml_x.stars:one",
                        task_type="classification",
                    )
    """
    raise NotImplementedError


@hookspec
def mml_scheduler_created(scheduler: Any) -> None:
    """Look at a scheduler that has just been made.

    Called after the scheduler's ``__init__``, in every process of a run. An error is logged, never raised.
    A plugin that implements it could change what the run does, and counts among those that results depend on.

    Args:
        scheduler: The ``AbstractBaseScheduler``.

    Example:
        ::

            @hookimpl
            def mml_scheduler_created(scheduler):
                print(type(scheduler).__name__, "works on", scheduler.cfg.task_list)
    """
    raise NotImplementedError


@hookspec
def mml_step_started(scheduler: Any, run: RunView, step: StepView) -> None:
    """Take note that a step begins.

    Called in the process that runs the step, before its method. An error is logged, never raised.

    Args:
        scheduler: The ``AbstractBaseScheduler``. Who asks for it could change what the run does, and counts
            among the plugins that results depend on; who asks for the others alone only observes.
        run: The run's id, project, mode, directory and config.
        step: The step's id, name and params.

    Example:
        ::

            @hookimpl
            def mml_step_started(run, step):
                print(step.name, "of", run.id, "begins with", step.arguments or step.params)
    """
    raise NotImplementedError


@hookspec
def mml_step_finished(scheduler: Any, run: RunView, step: StepView, outcome: Outcome) -> None:
    """Take note that a step has ended, well or not.

    Called in the process that ran the step, after its result was committed. An error is logged, never raised.

    Args:
        scheduler: The ``AbstractBaseScheduler``. Who asks for it counts among the plugins that results depend
            on, as for ``mml_step_started``.
        run: The run's id, project, mode, directory and config.
        step: The step's id, name and params.
        outcome: Whether it succeeded, its value or error, and its wall time.

    Example:
        ::

            @hookimpl
            def mml_step_finished(step, outcome):
                how = f"taken from {outcome.taken_from}" if outcome.taken_from else f"{outcome.seconds:.0f} s"
                print(step.id, how)
    """
    raise NotImplementedError


@hookspec
def mml_metrics_logged(run: RunView, step: StepView, metrics: MetricsView) -> None:
    """Take note of what a training logged.

    Called in the process that runs the step when a validation and when an epoch of a training ends, on the
    first device alone. An error is logged, never raised; random numbers that are drawn here are none of the
    training's.

    Args:
        run: The run's id, project, mode, directory and config.
        step: The step's id, name and params.
        metrics: Which training and epoch it was, and the values.

    Example:
        ::

            @hookimpl
            def mml_metrics_logged(step, metrics):
                print(f"{step.id}: fit {metrics.fit}, epoch {metrics.epoch}:", metrics.values)
    """
    raise NotImplementedError


@hookspec
def mml_trainer_callbacks(scheduler: Any, task: Any) -> Iterable[Any]:
    """Add callbacks to a trainer.

    Called for each ``lightning.Trainer`` that a scheduler makes. Each callback is listed in the log with
    its provider, and a provider's callbacks can be switched off. An error stops the step, because training
    without the callback would not be the training that was asked for. A plugin that implements it counts
    among those that results depend on: the curves of a training are to be had by ``mml_metrics_logged``.

    Args:
        scheduler: The ``AbstractBaseScheduler``.
        task: The ``TaskStruct`` the trainer is made for, or ``None``.

    Returns:
        Instances of ``lightning.Callback``. Import lightning inside the hook.

    Example:
        ::

            @hookimpl
            def mml_trainer_callbacks(scheduler, task):
                from lightning.pytorch.callbacks import DeviceStatsMonitor

                return [DeviceStatsMonitor()]
    """
    raise NotImplementedError


@hookspec
def mml_run_started(run: RunView) -> None:
    """Take note that a run begins or goes on.

    Called once by the process that leads the run, when its directory is claimed. An error is logged,
    never raised.

    Args:
        run: The run's id, project, mode, directory and config.

    Example:
        ::

            @hookimpl
            def mml_run_started(run):
                print(run.mode, "of", run.project, "with seed", run.config["seed"], "runs in", run.dir)
    """
    raise NotImplementedError


@hookspec
def mml_run_finished(run: RunView, outcome: Outcome) -> None:
    """Take note that a run has ended, well or not.

    Called once by the process that led the run, after clean-up. An error is logged, never raised.

    Args:
        run: The run's id, project, mode, directory and config.
        outcome: Whether it succeeded, its return value or error, and its wall time.

    Example:
        ::

            @hookimpl
            def mml_run_finished(run, outcome):
                if not outcome.interrupted:
                    print(run.id, "succeeded" if outcome.ok else f"failed: {outcome.error}")
    """
    raise NotImplementedError
