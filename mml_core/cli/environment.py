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
    """Find the plugins that may be used; one warning line on standard error for each broken one."""
    from mml_core.plugins import PluginManager
    from mml_core.plugins.blocking import Blocking

    blocking = Blocking.from_environment(no_plugins=arguments.no_plugins, without=arguments.without_plugin)
    plugins = PluginManager.discover(blocking=blocking)
    for warning in plugins.warnings():
        print(f"mml: warning: {warning}", file=sys.stderr)
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
