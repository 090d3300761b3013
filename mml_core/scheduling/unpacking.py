"""Unpacking an archive of a project that may come from a stranger: nothing in it is believed unchecked."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from mml_core.config.validation import check_project
from mml_core.errors import MMLError
from mml_core.files.artefacts import ArtefactStore
from mml_core.scheduling.archive_form import FORMAT, MANIFEST, ArchiveError, Entry, Manifest, name_problem
from mml_core.scheduling.environments import Environment
from mml_core.scheduling.ledger import Ledger, StepRecord
from mml_core.scheduling.run_directory import RunDirectory
from mml_core.scheduling.take_over import paths_in
from mml_core.scheduling.verifying import runs_in
from mml_core.storage.atomic import make_dirs, publish_dir
from mml_core.storage.leases import Lease

_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
_LARGEST_READ = 64 << 20
"""No honest header, nor the manifest of a hundred thousand files, is larger."""
_LARGEST_RATIO = 200
"""No honest project shrinks more."""


class _Distrust(Exception):
    """Why an archive is not unpacked."""


def unpack(archive: Path, results: Path, name: str | None) -> Path:
    """Make a project of an archive: all of it appears, or nothing.

    Args:
        archive: The archive.
        results: The folder of all projects.
        name: The name of the project; None: the one that it had.

    Returns:
        The project's folder.

    Raises:
        ArchiveError: It is no archive of a project, or one whose content is not what its records say, or the
            project exists, or there is no room.
        LeaseHeldError: Another process unpacks a project of that name (exit 3).
    """
    try:
        with _opened(archive) as tar:
            members = _members(tar)
            manifest = _manifest(tar, next(members, None))
            final = results / check_project(name or manifest.project)
            if final.exists():
                raise ArchiveError(
                    f"The project '{final.name}' exists already; choose another name by --proj."
                )
            _check_size(manifest, archive, results)
            with _private_folder(results, final.name) as folder:
                _extract(tar, members, manifest, folder)
                _check_records(folder, manifest)
                publish_dir(folder, final)
    except _Distrust as error:
        raise ArchiveError(f"'{archive}' is not unpacked: {str(error).rstrip('.')}.") from error
    except FileExistsError as error:
        raise ArchiveError(f"{error}; choose another name by --proj.") from error
    return final


class _Bounded(io.RawIOBase):
    """The content of an archive, which is never read in larger pieces than an honest one has."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header wants to be {size} bytes long")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    if not archive.is_file():
        raise ArchiveError(f"There is no file '{archive}'.")
    try:
        with archive.open("rb") as raw:
            compressed = raw.read(2) == _GZIP
            raw.seek(0)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
            with tarfile.open(fileobj=cast(IO[bytes], _Bounded(stream)), mode="r:") as tar:
                yield tar
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ArithmeticError, ValueError) as error:
        raise _Distrust(f"it cannot be read ({error})") from error


@contextmanager
def _private_folder(results: Path, project: str) -> Iterator[Path]:
    own = results / ".mml" / "imports"
    with Lease.acquire(own / f"{project}.lease"):
        folder = own / project
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        make_dirs(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    for each in (own, own.parent):
        with suppress(OSError):  # others unpack, too
            each.rmdir()


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members, each a plain file under a name that is safe and new."""
    seen: set[str] = set()
    while (member := tar.next()) is not None:
        cast(Any, tar).members.clear()  # it would keep them all
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            raise _Distrust(f"{member.name!r} is no plain file")
        if member.name in seen:
            raise _Distrust(f"it holds {member.name!r} twice")
        if member.name != MANIFEST and (problem := name_problem(member.name)):
            raise _Distrust(f"the name {member.name!r} {problem}")
        seen.add(member.name)
        yield member


def _manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Manifest:
    if member is None or member.name != MANIFEST:
        raise _Distrust(f"it does not begin with {MANIFEST}, so mml did not pack it")
    if member.size > _LARGEST_READ:
        raise _Distrust(f"its manifest wants to be {member.size} bytes long")
    try:
        manifest = msgspec.json.decode(_content(tar, member).read(member.size), type=Manifest)
    except msgspec.DecodeError as error:
        raise _Distrust(f"its manifest cannot be read ({error})") from error
    if manifest.format != FORMAT:
        form = f"it has the form {manifest.format} of mml {manifest.mml}"
        raise _Distrust(f"{form}, and this mml knows {FORMAT}; install that version")
    return manifest


def _check_size(manifest: Manifest, archive: Path, results: Path) -> None:
    if any(entry.size < 0 for entry in manifest.files.values()):
        raise _Distrust("it declares a negative size")
    packed = archive.stat().st_size
    if manifest.size > _LARGEST_RATIO * packed:
        raise _Distrust(f"its {packed} bytes claim to hold {manifest.size}")
    place = next(folder for folder in (results, *results.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if manifest.size > free:
        raise ArchiveError(f"'{archive}' needs {manifest.size} bytes, and {results} has {free}; make room.")


def _extract(
    tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo], manifest: Manifest, folder: Path
) -> None:
    missing = dict(manifest.files)
    for member in members:
        entry = missing.pop(member.name, None)
        if entry is None:
            raise _Distrust(f"its manifest does not name {member.name!r}")
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if member.size != entry.size or _copy(_content(tar, member), target, entry) != entry.sha256:
            raise _Distrust(f"{member.name!r} is not what its manifest says")
    if missing:
        raise _Distrust(f"{next(iter(missing))!r} is missing from it")


def _copy(source: IO[bytes], target: Path, entry: Entry) -> str:
    state, left = hashlib.sha256(), entry.size
    with target.open("xb") as file:
        while left and (block := source.read(min(left, _BLOCK))):
            state.update(block)
            file.write(block)
            left -= len(block)
    return state.hexdigest()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    return cast(IO[bytes], tar.extractfile(member))


def _check_records(project: Path, manifest: Manifest) -> None:
    """Check an unpacked project by its own records."""
    try:
        named = set(_check_artefacts(ArtefactStore(project)))
        for run in runs_in(project):
            _check_run(run)
    except (MMLError, OSError, msgspec.DecodeError) as error:
        raise _Distrust(" ".join(str(error).split())) from error
    for name in manifest.files:
        if name.partition("/")[0] not in (".mml", "runs") and name not in named:
            raise _Distrust(f"no record names {name!r}")


def _check_artefacts(store: ArtefactStore) -> Iterator[str]:
    """Yield the files that are as their records say."""
    for place in store.root.rglob("*.json") if store.root.is_dir() else ():
        record = store.read(place)
        artefact, live = record.artefact, record.state == "live"
        _check_inside(artefact.path)
        if place != (store.live_path(artefact) if live else store.history_path(artefact)):
            raise _Distrust(f"the record '{place.relative_to(store.project)}' is that of another file")
        if live:
            store.verify(record)
            yield artefact.path


def _check_run(run: RunDirectory) -> None:
    plan = run.load_plan()
    if plan is None or not run.id == run.info().id == plan.run:
        raise _Distrust(f"the records of run {run.id} are those of another run")
    run.done()
    ledger = Ledger(plan, run.steps_path)
    ledger.refresh()
    for _, record in ledger.records():
        if record.environment:
            Environment.load(run.environments_path, record.environment)
        for path in _paths(record, run.project_path):
            _check_inside(path)


def _paths(record: StepRecord, project: Path) -> Iterator[str]:
    """Yield the paths in the project that a record names; absolute ones lie in other projects."""
    for artefact in record.artefacts:
        yield from (artefact.path, artefact.source)
    brought = paths_in(record.structs.values(), project)
    for path in (*brought, *record.files(), *record.inputs.files):
        if not path.startswith("/"):
            yield path


def _check_inside(path: str) -> None:
    if path.startswith("/") or ".." in path.split("/"):
        raise _Distrust(f"a record names {path!r}, which leads out of the project")
