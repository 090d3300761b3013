"""The kinds of things that can be contributed, and which hooks merely observe."""

from __future__ import annotations

from mml_core.plugins.records import (
    ArchitectureSpec,
    ConfigDir,
    DatasetSpec,
    ExecutorSpec,
    HealthCheck,
    PathAssignment,
    Record,
    SchedulerSpec,
    TagSpec,
    TaskSpec,
)

RECORDS: dict[str, type[Record]] = {
    "schedulers": SchedulerSpec,
    "path_assignments": PathAssignment,
    "config_dirs": ConfigDir,
    "datasets": DatasetSpec,
    "tasks": TaskSpec,
    "tags": TagSpec,
    "architectures": ArchitectureSpec,
    "executors": ExecutorSpec,
    "health_checks": HealthCheck,
}
"""Kind of contribution to the record its hook ``mml_<kind>`` yields."""

OBSERVING_HOOKS = (
    "mml_scheduler_created",
    "mml_step_started",
    "mml_step_finished",
    "mml_metrics_logged",
    "mml_run_started",
    "mml_run_finished",
)
"""Hooks whose errors are logged and never raised."""

CHANGING_HOOKS = ("mml_trainer_callbacks",)
"""Hooks of the life cycle that return something to a run."""

VIEWS = ("run", "step", "outcome", "metrics")
"""Arguments of the observing hooks that are frozen views: each plugin is handed copies of its own.

An implementation that asks for no others can observe what a run does, and cannot change it;
`PluginInfo.changing_hooks` names those that can.
"""

REFERENCES: dict[type[Record], str] = {
    SchedulerSpec: "target",
    DatasetSpec: "create",
    TaskSpec: "create",
    TagSpec: "apply",
    ArchitectureSpec: "target",
    ExecutorSpec: "target",
    HealthCheck: "run",
}
"""Which attribute of a record holds what it stands for."""
