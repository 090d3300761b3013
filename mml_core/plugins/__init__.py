"""What can be plugged in, and how plugins are found, checked and used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mml_core.plugins.blocking import Blocking as Blocking
    from mml_core.plugins.discovery import command_entry_points as command_entry_points
    from mml_core.plugins.errors import AmbiguousNameError as AmbiguousNameError
    from mml_core.plugins.errors import ConflictError as ConflictError
    from mml_core.plugins.errors import HookFailedError as HookFailedError
    from mml_core.plugins.errors import PluginError as PluginError
    from mml_core.plugins.errors import PluginFailedError as PluginFailedError
    from mml_core.plugins.errors import RecordError as RecordError
    from mml_core.plugins.errors import RefError as RefError
    from mml_core.plugins.errors import UnknownNameError as UnknownNameError
    from mml_core.plugins.errors import UnknownPluginError as UnknownPluginError
    from mml_core.plugins.info import PluginInfo as PluginInfo
    from mml_core.plugins.info import Stage as Stage
    from mml_core.plugins.info import Status as Status
    from mml_core.plugins.manager import PluginManager as PluginManager
    from mml_core.plugins.markers import hookimpl as hookimpl
    from mml_core.plugins.records import TASK_TYPES as TASK_TYPES
    from mml_core.plugins.records import ArchitectureSpec as ArchitectureSpec
    from mml_core.plugins.records import ConfigDir as ConfigDir
    from mml_core.plugins.records import DatasetSpec as DatasetSpec
    from mml_core.plugins.records import ExecutorSpec as ExecutorSpec
    from mml_core.plugins.records import Health as Health
    from mml_core.plugins.records import HealthCheck as HealthCheck
    from mml_core.plugins.records import PathAssignment as PathAssignment
    from mml_core.plugins.records import SchedulerSpec as SchedulerSpec
    from mml_core.plugins.records import TagSpec as TagSpec
    from mml_core.plugins.records import TaskSpec as TaskSpec
    from mml_core.plugins.refs import load_ref as load_ref
    from mml_core.plugins.registry import Contribution as Contribution
    from mml_core.plugins.registry import Registry as Registry
    from mml_core.plugins.views import MetricsView as MetricsView
    from mml_core.plugins.views import Outcome as Outcome
    from mml_core.plugins.views import RunView as RunView
    from mml_core.plugins.views import StepView as StepView

_HOMES = {
    "blocking": ("Blocking",),
    "discovery": ("command_entry_points",),
    "errors": (
        "AmbiguousNameError",
        "ConflictError",
        "HookFailedError",
        "PluginError",
        "PluginFailedError",
        "RecordError",
        "RefError",
        "UnknownNameError",
        "UnknownPluginError",
    ),
    "info": ("PluginInfo", "Stage", "Status"),
    "manager": ("PluginManager",),
    "markers": ("hookimpl",),
    "records": (
        "TASK_TYPES",
        "ArchitectureSpec",
        "ConfigDir",
        "DatasetSpec",
        "ExecutorSpec",
        "Health",
        "HealthCheck",
        "PathAssignment",
        "SchedulerSpec",
        "TagSpec",
        "TaskSpec",
    ),
    "refs": ("load_ref",),
    "registry": ("Contribution", "Registry"),
    "views": ("MetricsView", "Outcome", "RunView", "StepView"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> object:
    """Resolve a public name on first use, so that importing this package imports nothing else."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
