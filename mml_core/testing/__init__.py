"""What plugin authors test with: contracts to subclass, fixtures for pytest, distributions on disk.

Each name is loaded on first use, so that naming one imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.testing.contracts.architecture import ArchitectureContract as ArchitectureContract
    from mml_core.testing.contracts.plugin import PluginContract as PluginContract
    from mml_core.testing.contracts.scheduler import SchedulerContract as SchedulerContract
    from mml_core.testing.crash.suite import SchedulerCrashSuite as SchedulerCrashSuite
    from mml_core.testing.distributions import FakeDistribution as FakeDistribution
    from mml_core.testing.executors import ExecutorContract as ExecutorContract
    from mml_core.testing.tiny_tasks import create_tiny_task as create_tiny_task

_HOME = {
    "ArchitectureContract": "mml_core.testing.contracts.architecture",
    "ExecutorContract": "mml_core.testing.executors",
    "FakeDistribution": "mml_core.testing.distributions",
    "PluginContract": "mml_core.testing.contracts.plugin",
    "SchedulerContract": "mml_core.testing.contracts.scheduler",
    "SchedulerCrashSuite": "mml_core.testing.crash.suite",
    "create_tiny_task": "mml_core.testing.tiny_tasks",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name and return that name from it."""
    if name not in _HOME:
        raise AttributeError(f"module 'mml_core.testing' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
