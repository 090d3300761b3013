"""`mml files export` and `mml files import`: a project as one archive."""

from __future__ import annotations

import sys
from pathlib import Path

from mml_core.cli.environment import project_folder


def export(results: Path, project: str, file: str) -> int:
    """Pack a project."""
    from mml_core.scheduling.packing import foreign_files, pack

    folder = project_folder(results, project)
    manifest = pack(folder.resolve(), Path(file))
    print(f"{file}: {len(manifest.files)} files of the project '{project}', {manifest.size} bytes.")
    foreign = foreign_files(folder)
    if foreign:
        print(
            f"mml: warning: {len(foreign)} files of other projects that runs used are not in it, such as "
            f"{foreign[0]}; pack those projects, too.",
            file=sys.stderr,
        )
    return 0


def import_(results: Path, file: str, project: str | None) -> int:
    """Unpack a project."""
    from mml_core.scheduling.unpacking import unpack

    folder = unpack(Path(file), results, project)
    print(f"{folder}: unpacked, all as its records say. `mml runs list --proj {folder.name}` shows its runs.")
    return 0
