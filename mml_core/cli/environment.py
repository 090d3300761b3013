"""What most commands begin with: the plugins as blocked on the command line, the folders, the project."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from mml_core.config.projects import DEFAULT_PROJECT as DEFAULT_PROJECT
from mml_core.config.projects import project_folder as project_folder

if TYPE_CHECKING:
    from pathlib import Path

    from mml_core.plugins import PluginManager


def discover_plugins(arguments: argparse.Namespace) -> PluginManager:
    """Find the plugins that may be used; one warning line on standard error for each broken one.

    Raises:
        UnknownPluginError: ``--without-plugin`` names one that is not installed.
        PluginFailedError: One is broken, and ``MML_PLUGIN_STRICT=1``.
    """
    plugins = _discover(arguments, strict=None)
    for warning in plugins.warnings():
        print(f"mml: warning: {warning}", file=sys.stderr)
    return plugins


def inspect_plugins(arguments: argparse.Namespace) -> PluginManager:
    """Find the plugins to say what is wrong with them: nothing is printed, and none ends mml.

    Raises:
        UnknownPluginError: ``--without-plugin`` names one that is not installed.
    """
    return _discover(arguments, strict=False)


def project_of(arguments: argparse.Namespace) -> Path | None:
    """Return the folder of the project that a command works on, which need not be there.

    Args:
        arguments: The command's; without ``proj`` it works on none.
    """
    if not hasattr(arguments, "proj"):
        return None
    from mml_core.cli.run import value_of
    from mml_core.config.locations import resolve_locations

    overrides = getattr(arguments, "overrides", [])
    results = resolve_locations({"results": value_of("paths.results", overrides)}).results
    return results / (value_of("proj", overrides) or arguments.proj or DEFAULT_PROJECT)


def _discover(arguments: argparse.Namespace, *, strict: bool | None) -> PluginManager:
    from mml_core.plugins import PluginManager
    from mml_core.plugins.blocking import Blocking

    without = arguments.without_plugin
    blocking = Blocking.from_environment(
        no_plugins=arguments.no_plugins, without=without, project=project_of(arguments)
    )
    tracer = getattr(arguments, "tracer", None) or PluginManager
    plugins: PluginManager = tracer.discover(blocking, strict)
    for name in Blocking(without=without).unknown(plugins.plugins):
        plugins.plugin(name)  # raises, with near matches
    return plugins
