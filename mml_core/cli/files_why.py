"""`mml files why`: what a file rests on, as a tree."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mml_core.cli.environment import project_folder
from mml_core.errors import MMLError, near_matches

if TYPE_CHECKING:
    from mml_core.files.artefacts import ArtefactRecord
    from mml_core.scheduling.explaining import Cause

_STYLES = {"file": "bold", "step": "cyan", "task": "green", "dataset": "green"}


class UnknownFileError(MMLError):
    """No run of the project has committed that file."""


def show_why(results: Path, project: str, file: str, *, as_json: bool) -> int:
    """Print what a file rests on.

    Args:
        results: The folder of all projects.
        project: The project, for a path that is relative to it.
        file: The file.
        as_json: Whether to print JSON.

    Raises:
        UnknownFileError: No run has committed it.
    """
    from mml_core.scheduling.explaining import Explainer

    owner, record = _find(results.resolve(), project, file)
    cause = Explainer(results.resolve()).file(owner, record)
    if as_json:
        print(json.dumps(cause.as_json(), indent=2, default=str))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(_tree(cause))
    else:
        _print_plain(cause, 0)
    return 0


def _find(results: Path, project: str, file: str) -> tuple[str, ArtefactRecord]:
    from mml_core.files.artefacts import ArtefactStore

    for place in (Path(os.path.abspath(file)), results / project / file):  # noqa: PTH100 - links are kept
        if place.is_relative_to(results) and len(place.relative_to(results).parts) > 1:
            owner, *inside = place.relative_to(results).parts
            record = ArtefactStore(results / owner).find_path("/".join(inside))
            if record is not None:
                return owner, record
    folder = project_folder(results, project)
    known = [record.artefact.path for record in ArtefactStore(folder).records(history=True)]
    raise UnknownFileError(
        f"No run of the project '{project}' has committed '{file}'.{near_matches(file, known)} "
        f"`mml files list --proj {project}` shows all."
    )


def _print_plain(cause: Cause, depth: int) -> None:
    print(f"{'  ' * depth}{cause.text}")
    for each in cause.causes:
        _print_plain(each, depth + 1)


def _tree(cause: Cause) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(cause.text, style=_STYLES.get(cause.kind, "dim")))
    for each in cause.causes:
        tree.add(_tree(each))
    return tree
