"""List the modes that `mml run --mode=NAME` knows, with who brings them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table of modes."""
    from mml_core.cli.environment import discover_plugins

    show_modes(discover_plugins(args), as_json=args.json)
    return 0


def show_modes(plugins: PluginManager, *, as_json: bool = False) -> None:
    """Print every mode, the core's first."""
    from mml_core.schedulers.tables import show

    show(
        mode_rows(plugins), ("mode", "provider", "subroutines", "summary"), as_json=as_json, empty="no modes"
    )


def mode_rows(plugins: PluginManager) -> list[dict[str, Any]]:
    """Return one row per mode that a scheduler record or a config file of a plugin brings."""
    rows = [
        {
            "mode": plugins.schedulers.label(item),
            "provider": item.provider,
            "subroutines": list(item.record.subroutines),
            "summary": item.record.summary,
        }
        for item in plugins.schedulers.items()
    ]
    known = {row["mode"] for row in rows}
    for provider, name in _modes_of_files(plugins):
        if name not in known:
            rows.append({"mode": name, "provider": provider, "subroutines": [], "summary": "config file"})
    return rows


def _modes_of_files(plugins: PluginManager) -> list[tuple[str, str]]:
    """Return provider and name of each ``conf/mode/*.yaml``; no YAML is read and Hydra is not imported."""
    from mml_core.config.folders import config_folders

    return [
        (provider, path.stem)
        for provider, folder in config_folders(plugins)
        for path in sorted((folder / "mode").glob("*.yaml"))
    ]
