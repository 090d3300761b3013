"""Artefacts, the files a step leaves behind, and their provenance records, kept by key and task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from mml_core.files.errors import DamagedArtefactError
from mml_core.files.names import GLOBAL_SLOT, number_at_end, slot
from mml_core.storage.atomic import fsync_dir, write_bytes
from mml_core.storage.hashing import sha256_bytes, sha256_file

_HISTORY = "history"
RECORD_NAME = re.compile(r"\d{8}T\d{12}Z_(\d{4,}|x[0-9a-f]{12})\.json")
"""What a record of a committed file is called: its time, and its number or what is unique to it."""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed file, as the commit record of its step names it.

    Attributes:
        key: Its path key.
        task: Its task; None for a global one.
        path: Its final place, relative to the project, with ``/``.
        source: Its place before publication, relative to the attempt's folder.
        number: Its number among those of its key and task; None if files of its key are replaced.
        size: Bytes.
        sha256: Of its content.
        created: When it was sealed, ISO 8601 in UTC.
    """

    key: str
    task: str | None
    path: str
    source: str
    number: int | None
    size: int
    sha256: str
    created: str

    @property
    def tail(self) -> str:
        """What tells its record from others of the same moment: the number, or the path's hash."""
        return _tail(self.number, self.path)

    @property
    def record_name(self) -> str:
        """The file name of its provenance record; names sort by creation."""
        return f"{re.sub(r'[-:.]', '', self.created)}_{self.tail}.json"


class ArtefactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The provenance of a published artefact.

    Attributes:
        artefact: The artefact itself.
        run: The run that made it.
        step: The step of the run.
        extra: What the runner knows: config read, inputs, versions, seed.
        state: ``live``, ``superseded`` or ``deleted``.
        superseded_by: The record name of what replaced it.
    """

    artefact: Artefact
    run: str
    step: str
    extra: dict[str, Any] = {}
    state: str = "live"
    superseded_by: str | None = None


class ArtefactStore:
    """The provenance records of one project.

    Args:
        project: The project's folder.
    """

    def __init__(self, project: Path) -> None:
        self.project = project
        self.root = project / ".mml" / "artefacts"

    def live_path(self, artefact: Artefact) -> Path:
        """Return where the record of an artefact lies while the artefact is what its path holds."""
        return self._folder(artefact.key, artefact.task) / artefact.record_name

    def history_path(self, artefact: Artefact) -> Path:
        """Return where the record lies once the artefact is superseded or deleted."""
        return self._folder(artefact.key, artefact.task) / _HISTORY / artefact.record_name

    def is_recorded(self, artefact: Artefact) -> bool:
        """Tell whether the artefact has been published, whatever became of it since."""
        return self.live_path(artefact).exists() or self.history_path(artefact).exists()

    def add(self, record: ArtefactRecord) -> None:
        """Write the record of an artefact that is in place."""
        write_bytes(self.live_path(record.artefact), _encode(record))

    def retire(self, record: ArtefactRecord, *, state: str, superseded_by: str | None = None) -> None:
        """Mark a record as superseded or deleted."""
        changed = msgspec.structs.replace(record, state=state, superseded_by=superseded_by)
        write_bytes(self.history_path(record.artefact), _encode(changed))
        live = self.live_path(record.artefact)
        with suppress(FileNotFoundError):
            live.unlink()
            fsync_dir(live.parent)

    def find(self, artefact: Artefact) -> ArtefactRecord | None:
        """Return the live record of an artefact, or None."""
        try:
            return self.read(self.live_path(artefact))
        except FileNotFoundError:
            return None

    def newest_first(
        self, key: str, task: str | None, *, number: int | None = None, tail: str | None = None
    ) -> Iterator[ArtefactRecord]:
        """Yield the live records of a key and task, newest first; nothing else of the project is read.

        Args:
            key: The path key.
            task: The task; None for a global key.
            number: Only the artefact of this number.
            tail: Only artefacts of this tail (see `Artefact.tail`).
        """
        folder = self._folder(key, task)
        tail = f"{number:04d}" if number is not None else tail
        for name in sorted(_record_names(folder), reverse=True):
            if tail is None or name.endswith(f"_{tail}.json"):
                with suppress(FileNotFoundError):  # superseded or deleted since the folder was listed
                    yield self.read(folder / name)

    def newest_time(self, key: str, folder: str) -> int:
        """Return when the newest artefact of a key and task was made, in microseconds; 0 where there is none.

        Args:
            key: The path key.
            folder: The name of the task's folder (see `slot`).
        """
        place = self.root / key / folder
        return _newest([*_record_names(place), *_record_names(place / _HISTORY)])

    def made_at(self, key: str, task: str | None, path: str) -> int:
        """Return when the live file of a key that is replaced was made, in microseconds; 0: there is none.

        Args:
            key: The path key.
            task: The task; None for a global key.
            path: Relative to the project, with ``/``.
        """
        ending = f"_{_tail(None, path)}.json"
        return _newest([name for name in _record_names(self._folder(key, task)) if name.endswith(ending)])

    def find_path(self, path: str) -> ArtefactRecord | None:
        """Return the record of the file at a path, whatever its key and task; None if it never had one.

        Args:
            path: Relative to the project, with ``/``.

        Returns:
            The live record, or the last one the file had before it was superseded or deleted.
        """
        parts = PurePosixPath(path).parts
        ending = f"_{_tail(number_at_end(parts[-1]), path)}.json"
        found = []
        for key in _entries(self.root):
            for name in (GLOBAL_SLOT, *parts[:-1]):  # the folder of a task has one name everywhere
                for folder in (self.root / key / name, self.root / key / name / _HISTORY):
                    found += [folder / each for each in _record_names(folder) if each.endswith(ending)]
        records = [record for record in map(self.read, found) if record.artefact.path == path]
        return max(records, key=lambda each: (each.state == "live", each.artefact.created), default=None)

    def records(self, key: str | None = None, *, history: bool = False) -> Iterator[ArtefactRecord]:
        """Yield all live records of the project, or of one path key.

        Args:
            key: The path key; None: all. No record of another is read.
            history: Whether those are given, too, that are superseded or deleted.
        """
        for of_key in sorted(_entries(self.root)) if key is None else (key,):
            for folder in sorted(self.root / of_key / name for name in _entries(self.root / of_key)):
                for place in (folder, folder / _HISTORY) if history else (folder,):
                    for name in sorted(_record_names(place)):
                        with suppress(FileNotFoundError):
                            yield self.read(place / name)

    def verify(self, record: ArtefactRecord) -> Path:
        """Return the path of an artefact that is what was committed.

        Raises:
            DamagedArtefactError: The file is missing, is no plain file, or differs.
        """
        path = self.project / record.artefact.path
        problem = damage(path, record.artefact)
        if problem:
            raise DamagedArtefactError(
                f"'{path}' (run {record.run}, step {record.step}) {problem}, so it is not used; "
                "restore it or make it again."
            )
        return path

    @staticmethod
    def read(path: Path) -> ArtefactRecord:
        """Read a record.

        Raises:
            DamagedArtefactError: The record is not whole.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=ArtefactRecord)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedArtefactError(
                f"The provenance record '{path}' is damaged ({error}); restore it, "
                "or remove it to give up its file."
            ) from error

    def _folder(self, key: str, task: str | None) -> Path:
        return self.root / key / slot(task)


def damage(path: Path, artefact: Artefact) -> str:
    """Return how a file differs from the artefact it should be, or an empty string."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "is no plain file"
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "is missing"
    if size != artefact.size:
        return f"has {size} bytes, not the {artefact.size} that were committed"
    if sha256_file(path) != artefact.sha256:
        return "has another content than was committed"
    return ""


def _tail(number: int | None, path: str) -> str:
    return f"{number:04d}" if number is not None else "x" + sha256_bytes(path.encode())[:12]


def _newest(names: list[str]) -> int:
    if not names:
        return 0
    made = datetime.strptime(max(names).partition("_")[0], "%Y%m%dT%H%M%S%fZ")
    return (made - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _record_names(folder: Path) -> list[str]:
    return [name for name in _entries(folder) if RECORD_NAME.fullmatch(name)]


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _encode(record: ArtefactRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
