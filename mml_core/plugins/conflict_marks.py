"""Marking the plugins that claim what another one claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mml_core.plugins.config_folders import ConfigConflict
from mml_core.plugins.info import PluginInfo, Status
from mml_core.plugins.path_conflicts import PathConflict
from mml_core.plugins.registry import Registry


def mark_conflicted(
    plugins: Mapping[str, PluginInfo], conflicts: Iterable[PathConflict | ConfigConflict]
) -> None:
    """Set the status of the plugins that take part in a conflict, and take it back from those that do not."""
    for info in plugins.values():
        if info.status is Status.CONFLICTED:
            info.status, info.cause = Status.ACTIVE, ""
    for conflict in conflicts:
        for name in conflict.plugins:
            info = plugins[name]
            if not info.builtin and info.status is Status.ACTIVE:
                info.status, info.cause = Status.CONFLICTED, str(conflict)


def note_shared_names(plugins: Mapping[str, PluginInfo], registry: Registry[Any]) -> None:
    """Note with each plugin which of its short names others have too; that is no error until one is used."""
    for name, same in registry.shared().items():
        for each in same:
            others = " and ".join(other.provider for other in same if other is not each)
            note = f"its {registry.noun} {name!r} is that of {others} too: write {each.qualified!r}"
            info = plugins[each.provider]
            if not info.builtin and note not in info.notes:
                info.notes.append(note)
