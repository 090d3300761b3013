"""Commands and importers that plugins bring: found by name, from metadata alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml_core.plugins import Blocking, Registry
    from mml_core.plugins.discovery import ModuleEntryPoint


def entry_points(group: str, blocking: Blocking | None = None) -> Registry[ModuleEntryPoint]:
    """Return what installed distributions add, by name.

    Args:
        group: ``COMMAND_GROUP`` or ``IMPORTER_GROUP`` of the discovery.
        blocking: Which plugins to leave out; by default what the environment says.
    """
    from mml_core.plugins.discovery import NOUNS, module_entry_points
    from mml_core.plugins.registry import Contribution, Registry

    found: Registry[ModuleEntryPoint] = Registry(NOUNS[group])
    for point in module_entry_points(group, blocking):
        found.add(Contribution(point.distribution, point))
    return found
