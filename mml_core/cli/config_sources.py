"""`mml config sources`: the search path in order, and which file or override each value comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


def show_sources(overrides: Sequence[str], plugins: PluginManager, *, as_json: bool) -> int:
    """Print the search path and the origin of every value of the config that ``overrides`` lead to."""
    from mml_core.config.origins import search_path, value_origins
    from mml_core.schedulers.tables import show

    path, values = search_path(plugins), value_origins(list(overrides), plugins)
    shared = [{"option": each.option, "providers": each.plugins} for each in plugins.config_conflicts()]
    if as_json:
        import json

        print(json.dumps({"search_path": path, "values": values, "shared": shared}, indent=2, default=str))
        return 0
    show(path, ("provider", "path"), title="search path, first match wins")
    print()
    show(values, ("key", "value", "source"), title="values")
    if shared:
        print()
        show(shared, ("option", "providers"), title="options that more than one plugin brings")
    return 0
