"""Config options that plugin records stand for, so that a record alone makes ``mode=<name>`` work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mml_core.plugins.names import aliases

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager, SchedulerSpec
    from mml_core.plugins.registry import Registry

Options = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Group → option → content."""


def options_from_records(plugins: PluginManager) -> Options:
    """Make one option per scheduler, executor and architecture record, by short and by qualified name."""
    options: dict[str, dict[str, Mapping[str, Any]]] = {"mode": {}, "executor": {}, "arch": {}}
    for spelling, name, scheduler in _named(plugins.schedulers):
        options["mode"][spelling] = mode_of(scheduler, name)
    for spelling, name, _ in _named(plugins.executors):
        options["executor"][spelling] = {"name": name}
    for spelling, name, _ in _named(plugins.architectures):
        options["arch"][spelling] = {"name": name, "kwargs": {}}
    return options


def mode_of(spec: SchedulerSpec, name: str) -> dict[str, Any]:
    """Return the mode config that a scheduler record stands for, under the shortest name that means it."""
    return {
        "name": name,
        "scheduler": {"_target_": spec.target.replace(":", ".")},
        "subroutines": list(spec.subroutines),
        **dict(spec.defaults),
    }


def _named(registry: Registry[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield spelling, shortest unique name and record; the short spelling only where it is unique."""
    for item in registry.items():
        label = registry.label(item)
        for provider in aliases(item.provider):
            yield f"{provider}:{item.name}", label, item.record
        yield label, label, item.record
