"""The projects in a folder of results, by name."""

from __future__ import annotations

from pathlib import Path

from mml_core.errors import MMLError, near_matches

DEFAULT_PROJECT = "default"


class UnknownProjectError(MMLError):
    """There is no folder of a project of that name below the results."""


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
