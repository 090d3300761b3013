"""Pruning a project: finding what mml left in it and nothing needs any more, and removing that."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from mml_core.config.run_directory import RUNS
from mml_core.files.artefacts import ArtefactRecord, ArtefactStore
from mml_core.files.assignments import FILE, TASK, Assignment
from mml_core.files.cleanup import inside
from mml_core.files.folders import remove_folder
from mml_core.files.layout import Layout
from mml_core.files.names import number_at_end, numbered
from mml_core.files.publishing import replacing
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.verifying import records_of, runs_in
from mml_core.storage.atomic import TEMP_PREFIX, fsync_dir
from mml_core.storage.leases import is_alive

_DAY = 24 * 3600
_REMOVED = ".removed"


@dataclass(frozen=True)
class Waste:
    """Something that nothing needs any more.

    Attributes:
        path: A file or a folder.
        why: Why nothing needs it.
        size: Bytes that removing it frees.
        record: The record to mark, where it is one whose file is gone.
    """

    path: Path
    why: str
    size: int
    record: ArtefactRecord | None = None


def find_waste(project: Path, assignments: Iterable[Assignment]) -> list[Waste]:
    """Find what can be removed from a project.

    Those are files at places of mml that no record names, what attempts left whose run is finished or gone,
    and records of files that are gone. What an unfinished run may still use is not among them, nor is a file
    that a run of any project has used.

    Args:
        project: The project's folder.
        assignments: The known path assignments, which tell what is a place of mml.

    Raises:
        DamagedRecordError: A record of a run cannot be read, so that nobody knows what it names.
    """
    # In this order: what is committed after the folders were listed was not there, so it is not in the list.
    files = list(_files(project))
    known = list(assignments)
    needed = _needed(project)
    found = [
        Waste(path, "no record names it", path.stat().st_size)
        for path in files
        if path not in needed and any(_matches(each, _name(path, project)) for each in known)
    ]
    return [*found, *_leftovers(project), *_lost(project)]


def remove(project: Path, waste: Waste) -> None:
    """Remove what was found.

    Raises:
        UnsafePathError: The path leads out of the project, or through a symbolic link.
    """
    store = ArtefactStore(project)
    if waste.record is not None:
        artefact = waste.record.artefact
        numbered_one = artefact.number is not None
        with nullcontext() if numbered_one else replacing(Layout(project, ""), artefact):
            if not os.path.lexists(project / artefact.path):
                store.retire(waste.record, state="deleted")
        return
    path = inside(project, _name(waste.path, project))
    if path.is_dir():
        remove_folder(path)
        return
    with suppress(FileNotFoundError):
        path.unlink()
        fsync_dir(path.parent)


def _files(project: Path) -> Iterator[Path]:
    """Yield the files of a project that are not mml's own."""
    for folder in sorted(project.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and folder.name not in (".mml", RUNS):
            for root, _, names in os.walk(folder):
                paths = (Path(root, name) for name in sorted(names))
                yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _matches(assignment: Assignment, name: str) -> bool:
    """Tell whether a file may have been saved by an assignment."""
    parts, template = PurePosixPath(name).parts, assignment.parts[1:]
    if assignment.temporary or len(parts) != len(template):
        return False
    *folders, last = zip(parts, template, strict=True)
    if any(part != wanted and wanted != TASK for part, wanted in folders):
        return False
    number = number_at_end(last[0])
    if not assignment.numbered:
        return last[1] in (last[0], FILE)
    return number is not None and (last[1] == FILE or last[0] == numbered(last[1], number))


def _needed(project: Path) -> set[Path]:
    """Return the files that some record needs."""
    store = ArtefactStore(project)
    needed = {project / record.artefact.path for record in store.records()}
    for path in sorted(Layout(project, "").sessions.glob("*.json")):
        with suppress(FileNotFoundError):  # published since
            session = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
            needed.update(project / artefact["path"] for artefact in session["artefacts"])
    for other in sorted(project.parent.iterdir()):
        for run in runs_in(other):
            unfinished = other == project and run.done() is None
            for record in records_of(run):
                used = {*record.inputs.files, *(record.taken.files if record.taken is not None else ())}
                used |= {artefact.path for artefact in record.artefacts} if unfinished else set()
                needed.update(other / path for path in used)
    return needed


def _leftovers(project: Path) -> Iterator[Waste]:
    """Yield what attempts, temporary files and writes left that nobody goes on with."""
    layout = Layout(project, "")
    for kind in ("attempts", "temp"):
        for folder in _entries(layout.own / kind):
            why = _finished(project, folder.name)
            if why:
                yield Waste(folder, why, _size(folder))
    for folder in _entries(project / RUNS):
        if folder.name.endswith(_REMOVED):
            yield Waste(folder, "its run was removed", _size(folder))
    old = time.time() - _DAY
    for root, _, names in os.walk(project):
        for path in (Path(root, name) for name in sorted(names) if name.startswith(TEMP_PREFIX)):
            with suppress(FileNotFoundError):
                found = path.lstat()
                if found.st_mtime < old:
                    yield Waste(path, "a write that was killed left it", found.st_size)


def _finished(project: Path, name: str) -> str:
    """Return why nobody goes on with what a run, or a script, left; empty: somebody may."""
    layout, run = Layout(project, name), RunDirectory(project / RUNS / name)
    if layout.is_script:
        alive = is_alive(layout.script_lease) or layout.script_record.exists()
        return "" if alive else "its script has ended"
    if not run.path.exists():
        return "its run is gone"
    return "its run is finished" if run.done() is not None and run.held() is None else ""


def _lost(project: Path) -> Iterator[Waste]:
    """Yield the records whose file is gone."""
    store = ArtefactStore(project)
    for record in store.records():
        if not os.path.lexists(project / record.artefact.path):
            place = store.live_path(record.artefact)
            yield Waste(place, f"the file of this record, {record.artefact.path}, is gone", 0, record)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except FileNotFoundError:
        return []


def _name(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix()


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
