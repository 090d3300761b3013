"""What observers of a run are shown: frozen views of the run and its steps."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mml_core.config.secrets import plain_config
from mml_core.plugins import RunView, StepView

if TYPE_CHECKING:
    from mml_core.scheduling.base import AbstractBaseScheduler
    from mml_core.scheduling.plan import PlanStep
    from mml_core.scheduling.run_directory import RunDirectory


def run_view(scheduler: AbstractBaseScheduler, run: RunDirectory | None) -> RunView:
    """Return how observers see a run; None stands for that of a mode that only reads."""
    with scheduler._notes.forgetting():  # what is read here, no step rests on
        config = plain_config(scheduler.cfg)
    return RunView(
        id=run.id if run is not None else "",
        project=scheduler.fm.project_path.name,
        mode=str((config.get("mode") or {}).get("name") or ""),
        dir=run.path if run is not None else None,
        config=config,
    )


def step_view(scheduler: AbstractBaseScheduler, step: PlanStep) -> StepView:
    """Return how observers see a step."""
    params = step.params.values() if isinstance(step.params, dict) else step.params
    return StepView(
        id=step.id, name=step.method, params=tuple(params), arguments=dict(_arguments(scheduler, step))
    )


def _arguments(scheduler: AbstractBaseScheduler, step: PlanStep) -> Mapping[str, Any]:
    if isinstance(step.params, dict):
        return step.params
    method = getattr(scheduler, step.method, None)
    try:
        return inspect.signature(method).bind(*step.params).arguments if callable(method) else {}
    except (TypeError, ValueError):  # a method that takes something else by name
        return {}
