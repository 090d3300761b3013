"""Packing a project, the files that its runs have committed and all records of them, into one archive."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from mml_core import __version__
from mml_core.files.artefacts import ArtefactStore
from mml_core.files.layout import Layout
from mml_core.scheduling.archive_form import (
    MANIFEST,
    ArchiveError,
    Entry,
    Manifest,
    check_suffix,
    name_problem,
)
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.verifying import damaged_records, records_of, runs_in
from mml_core.storage.atomic import writing
from mml_core.storage.hashing import sha256_file
from mml_core.storage.leases import LeaseHeldError, read_owner


def pack(project: Path, target: Path) -> Manifest:
    """Write a project as an archive; the same project gives the same bytes.

    Args:
        project: The project's folder.
        target: The archive, whose suffix says whether it is compressed; it must not exist.

    Raises:
        ArchiveError: A file is not what was committed, or the archive exists or has another suffix.
        LeaseHeldError: A process works on a run of the project (exit 3).
    """
    compressed = check_suffix(target)
    if target.exists():
        raise ArchiveError(f"'{target}' exists already; remove it, or choose another name.")
    _check_at_rest(project)
    names = sorted({*_records(project), *_committed(project)})
    files = {name: Entry((project / name).stat().st_size, sha256_file(project / name)) for name in names}
    manifest = Manifest(project=project.name, files=files, mml=__version__)
    with writing(target) as temp, temp.open("wb") as raw:
        if compressed:
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
                _write(cast(IO[bytes], stream), project, manifest)
        else:
            _write(raw, project, manifest)
    return manifest


def foreign_files(project: Path) -> list[str]:
    """Return the files of other projects that runs of this one used or took over; they are not packed."""
    found: set[str] = set()
    for run in runs_in(project):
        for record in records_of(run):
            found.update(path for path in (*record.inputs.files, *record.files()) if path.startswith("/"))
    return sorted(found)


def _check_at_rest(project: Path) -> None:
    for run in runs_in(project):
        held = run.held()
        if held is not None:
            raise LeaseHeldError(held, read_owner(held))
    for _, problem in damaged_records(project):
        raise ArchiveError(f"The project '{project.name}' is not packed: {problem}")


def _records(project: Path) -> Iterator[str]:
    """Yield the names of all records in the project."""
    layout = Layout(project, "")
    for root in (layout.artefacts, layout.numbers, *(run.path for run in runs_in(project))):
        for path in root.rglob("*"):
            name = path.relative_to(project).as_posix()
            if path.is_file() and not path.is_symlink() and not name_problem(name):
                yield name


def _committed(project: Path) -> Iterator[str]:
    """Yield the files that records name, whole as they were committed."""
    store = ArtefactStore(project)
    for record in store.records():
        store.verify(record)
        yield record.artefact.path
    for run in runs_in(project):
        _check_published(run, store)


def _check_published(run: RunDirectory, store: ArtefactStore) -> None:
    layout = Layout(store.project, run.id)
    for record in records_of(run):
        for artefact in record.artefacts:
            if not layout.is_temporary(artefact.path) and not store.is_recorded(artefact):
                raise ArchiveError(
                    f"The project is not packed: '{artefact.path}' of run {run.id} was committed and is not "
                    f"in place yet; finish it by: {run.continue_command}"
                )


def _write(stream: IO[bytes], project: Path, manifest: Manifest) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        content = msgspec.json.encode(manifest, order="deterministic")
        _add(archive, MANIFEST, len(content), io.BytesIO(content))
        for name, entry in manifest.files.items():
            with (project / name).open("rb") as file:
                _add(archive, name, entry.size, file)


def _add(archive: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, content)
