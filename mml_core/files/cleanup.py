"""Clean-up after success: removes what this run made of the chosen keys, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from mml_core.errors import near_matches
from mml_core.files.artefacts import Artefact, ArtefactStore
from mml_core.files.assignments import Assignments
from mml_core.files.errors import ReuseError, UnknownKeyError, UnsafePathError
from mml_core.files.folders import remove_folder
from mml_core.files.layout import Layout
from mml_core.files.publishing import replacing
from mml_core.storage.atomic import fsync_dir


def keys_to_clean(wanted: Any, assignments: Assignments) -> frozenset[str]:
    """Return the keys whose files go after success.

    Args:
        wanted: ``reuse.clean_up`` of the config: key to true or false.
        assignments: The known path keys.

    Raises:
        ReuseError: It says something else than true or false of a key, so that nothing is deleted by mistake.
        UnknownKeyError: There is no such key.
    """
    form = "reuse.clean_up takes key=true|false, such as reuse.clean_up.parameters=true"
    if wanted is None or wanted is False:
        return frozenset()
    if not isinstance(wanted, Mapping):
        raise ReuseError(f"reuse.clean_up={wanted!r} names no key; {form}.")
    for key, value in wanted.items():
        if key not in assignments:
            near = near_matches(str(key), [assignment.key for assignment in assignments])
            raise UnknownKeyError(f"reuse.clean_up.{key}: there is no path key '{key}'.{near}")
        if value is not None and not isinstance(value, bool):
            raise ReuseError(f"reuse.clean_up.{key}={value!r} is neither true nor false; {form}.")
    return frozenset(key for key, value in wanted.items() if value)


def clean_up(layout: Layout, artefacts: Iterable[Artefact], keys: Collection[str]) -> list[Path]:
    """Remove the artefacts of these keys, all temporary files and all attempts with their checkpoints.

    Each file goes before its record is marked, so that a clean-up that was killed is finished by the next.

    Args:
        layout: The folders of the run.
        artefacts: What the run committed.
        keys: The keys of ``reuse.clean_up``.

    Returns:
        The artefacts' files that were removed by this call.

    Raises:
        UnsafePathError: A path leads out of the project or through a symbolic link; it is left alone.
    """
    store = ArtefactStore(layout.project)
    removed = []
    for artefact in artefacts:
        if artefact.key in keys and not layout.is_temporary(artefact.path):
            path = inside(layout.project, artefact.path)
            with replacing(layout, artefact):
                if _remove(layout, store, artefact, path):
                    removed.append(path)
    for folder in (layout.temp, layout.attempts):
        path = inside(layout.project, folder.relative_to(layout.project).as_posix())
        if path.exists():
            remove_folder(path)
            fsync_dir(path.parent)  # a finished run is not cleaned up again
    return removed


def _remove(layout: Layout, store: ArtefactStore, artefact: Artefact, path: Path) -> bool:
    record = store.find(artefact)
    if record is None or record.run != layout.run:
        return False  # superseded by another run, or removed before
    there = os.path.lexists(path)
    with suppress(FileNotFoundError):
        path.unlink()
        fsync_dir(path.parent)
    store.retire(record, state="deleted")
    return there


def inside(project: Path, relative: str) -> Path:
    """Return a path below a project, refusing any that leaves it.

    Args:
        project: The project's folder, resolved.
        relative: The path, relative to it.

    Raises:
        UnsafePathError: The path is absolute, climbs, or passes through a symbolic link.
    """
    parts = PurePosixPath(relative).parts
    if not parts or PurePosixPath(relative).is_absolute() or ".." in parts:
        raise UnsafePathError(f"'{relative}' leads out of the project '{project}'; nothing is removed there.")
    path = project
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise UnsafePathError(
                f"'{path}' is a symbolic link, so nothing is removed there; remove it by hand."
            )
    return path
