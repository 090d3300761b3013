"""What most commands begin with: the plugins as blocked on the command line, the folders, the project."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.plugins import PluginManager

DEFAULT_PROJECT = "default"


class UnknownProjectError(MMLError):
    """There is no folder of a project of that name below the results."""


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


def _discover(arguments: argparse.Namespace, *, strict: bool | None) -> PluginManager:
    from mml_core.plugins import PluginManager
    from mml_core.plugins.blocking import Blocking

    without = arguments.without_plugin
    blocking = Blocking.from_environment(no_plugins=arguments.no_plugins, without=without)
    plugins = PluginManager.discover(blocking, strict)
    for name in Blocking(without=without).unknown(plugins.plugins):
        plugins.plugin(name)  # raises, with near matches
    return plugins


def project_folder(results: Path, project: str) -> Path:
    """Return the folder of an existing project.

    Raises:
        UnknownProjectError: There is none; near matches over those that exist.
    """
    folder = results / project
    if folder.is_dir() and folder.parent == results:
        return folder
    projects = projects_in(results)
    known = f"Projects: {', '.join(projects)}." if projects else f"There is none in {results} yet."
    raise UnknownProjectError(f"There is no project '{project}'.{near_matches(project, projects)} {known}")


def projects_in(results: Path) -> list[str]:
    """Return the names of all projects, sorted."""
    try:
        return sorted(entry.name for entry in results.iterdir() if (entry / "runs").is_dir())
    except OSError:
        return []
