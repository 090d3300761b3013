"""`mml files prune`: show what nothing needs any more, ask, and remove it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mml_core.cli.environment import discover_plugins, project_folder

if TYPE_CHECKING:
    from mml_core.scheduling.pruning import Waste


def prune(results: Path, args: argparse.Namespace) -> int:
    """Remove what nothing needs any more from a project, after it was shown and allowed."""
    from mml_core.schedulers.tables import show
    from mml_core.scheduling.pruning import remove

    project = project_folder(results, args.proj).resolve()
    waste = _find(project, args)
    rows = [
        {"path": each.path.relative_to(project).as_posix(), "size": each.size, "why": each.why}
        for each in waste
    ]
    empty = f"There is nothing in the project '{project.name}' that nothing needs."
    show(rows, ("path", "size", "why"), as_json=args.json, empty=empty)
    if not waste or not (args.yes or _is_allowed(waste, as_json=args.json)):
        return 0
    # What was shown may have come into use meanwhile.
    still = {each.path for each in _find(project, args)}
    removed = [each for each in waste if each.path in still]
    for each in removed:
        remove(project, each)
    if not args.json:
        print(f"Removed {len(removed)}, {sum(each.size for each in removed)} bytes.")
    return 0


def _find(project: Path, args: argparse.Namespace) -> list[Waste]:
    from mml_core.config.locations import resolve_locations
    from mml_core.files.manager import MMLFileManager
    from mml_core.scheduling.pruning import find_waste

    manager = MMLFileManager(
        data=resolve_locations().data,
        results=project.parent,
        project=project.name,
        plugins=discover_plugins(args),
    )
    manager.close()
    return find_waste(project, manager.assignments)


def _is_allowed(waste: list[Waste], *, as_json: bool) -> bool:
    if as_json or not sys.stdin.isatty():
        print("mml: nothing was removed; --yes removes what is shown.", file=sys.stderr)
        return False
    size = sum(each.size for each in waste)
    return input(f"Remove these {len(waste)}, {size} bytes? [y/N] ").strip().lower() == "y"
