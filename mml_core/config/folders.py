"""The config folders: the core's own and every plugin's, found without importing anything of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

CORE_CONF = Path(__file__).resolve().parent / "conf"
CORE_PROVIDER = "mml-core"
Folders = tuple[tuple[str, Path], ...]
"""Pairs of provider and config folder, in search order."""


def config_folders(plugins: PluginManager) -> Folders:
    """Return the config folders in search order: the core's, then the plugins', sorted by name."""
    found = {CORE_CONF: CORE_PROVIDER}
    for each in plugins.config_folders():
        found.setdefault(each.folder.resolve(), each.provider)
    return tuple((provider, folder) for folder, provider in found.items())


def options_in(folder: Path) -> list[str]:
    """Return the options of a config folder as ``group/option``, sorted."""
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.rglob("*.yaml")
        if path.parent != folder
    )
