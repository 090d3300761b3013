"""What a reference of each kind of record has to lead to."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mml_core.plugins import (
    ArchitectureSpec,
    DatasetSpec,
    ExecutorSpec,
    HealthCheck,
    PathAssignment,
    SchedulerSpec,
    TagSpec,
    TaskSpec,
)
from mml_core.plugins.errors import RefError
from mml_core.plugins.refs import load_ref

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager
    from mml_core.plugins.registry import Contribution

EXECUTOR_METHODS = ("start", "poll", "cancel", "close")


def reference_faults(entry: Contribution[Any], manager: PluginManager) -> list[str]:
    """Return what is wrong with what a record names; nothing that it names is called.

    Args:
        entry: The record and who contributes it.
        manager: Who resolves it.
    """
    record = entry.record
    where = f"{record.noun} {record.name!r}"
    if isinstance(record, PathAssignment):
        return _type_faults(record, where)
    if type(record) not in _CALLS:
        return []
    try:
        found = manager.resolve(entry)
    except RefError as error:
        return [f"{where}: {error}"]
    faults = _call_faults(found, *_CALLS[type(record)](record))
    if isinstance(record, SchedulerSpec):
        faults = _scheduler_faults(found) or faults
    if isinstance(record, ExecutorSpec) and isinstance(found, type):
        missing = [name for name in EXECUTOR_METHODS if not callable(getattr(found, name, None))]
        faults += [f"{found.__name__} has no method {name}" for name in missing]
    return [f"{where}: {fault}" for fault in faults]


_BUILD = "build(task_type, in_channels, out_channels, image_size, …)"
_Call = tuple[str, tuple[Any, ...], dict[str, Any]]
_CALLS: dict[type, Callable[[Any], _Call]] = {
    SchedulerSpec: lambda _: ("Scheduler(cfg)", (None,), {}),
    ExecutorSpec: lambda _: ("Executor(cfg)", (None,), {}),
    DatasetSpec: lambda _: ("create(target, sources)", (None, None), {}),
    TaskSpec: lambda _: ("create(dataset, builder)", (None, None), {}),
    TagSpec: lambda tag: (f"apply(task, {', '.join(tag.args)}, seed)", (None, *tag.args), {"seed": 0}),
    ArchitectureSpec: lambda _: (
        "build(task_type, in_channels, out_channels, image_size, …)",
        (None,) * 4,
        {},
    ),
    HealthCheck: lambda _: ("run()", (), {}),
}
"""How mml calls what a record names."""


def _call_faults(found: Any, call: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    if not callable(found):
        return [f"names {found!r}, which cannot be called"]
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # of something written in C, nobody knows
        return []
    try:
        if call.endswith("…)"):  # its further arguments come from the config
            signature.bind_partial(*args, **kwargs)
        else:
            signature.bind(*args, **kwargs)
    except TypeError as error:
        return [f"{getattr(found, '__qualname__', found)}{signature} is called as {call}: {error}"]
    return []


def _scheduler_faults(found: Any) -> list[str]:
    from mml_core.scheduling.base import AbstractBaseScheduler

    if isinstance(found, type) and issubclass(found, AbstractBaseScheduler):
        return []
    return [f"names {found!r}, which is no subclass of AbstractBaseScheduler"]


def _type_faults(record: PathAssignment, where: str) -> list[str]:
    if record.type is None:
        return []
    try:
        found = load_ref(record.type)
    except RefError as error:
        return [f"{where}: {error}"]
    return [] if isinstance(found, type) else [f"{where}: {record.type!r} is {found!r}, which is no type"]
