"""An attempt at a step: a private folder for all it writes, sealed before the step is committed."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from mml_core.files.artefacts import Artefact, ArtefactStore
from mml_core.files.assignments import Assignment
from mml_core.files.errors import SealError, UnwrittenPathError
from mml_core.files.folders import fingerprint, remove_folder
from mml_core.files.layout import Layout
from mml_core.files.names import numbered, slot
from mml_core.files.numbering import Numbers, Slot
from mml_core.files.targets import target_of
from mml_core.storage.atomic import fsync_dir, fsync_file, write_bytes
from mml_core.storage.errors import named_failures
from mml_core.storage.hashing import sha256_file

_OUT = "out"
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Promise:
    """A path that was handed out."""

    assignment: Assignment
    task: str | None
    path: Path
    target: str


class Attempt:
    """All one attempt at a step writes; nothing of it is visible before it is published.

    Args:
        folder: The attempt's private folder, on the file system of the project.
        identity: The run and its step, the same for every attempt at it.
        layout: The folders of the run.
    """

    def __init__(self, folder: Path, identity: str, layout: Layout) -> None:
        self.folder = folder.absolute()
        self.identity = identity
        self.fingerprints: dict[Path, tuple[int, int, int]] = {}
        self._layout = layout
        self._promises: list[_Promise] = []
        self._artefacts: list[Artefact] | None = None
        self._final: dict[str, str] = {}

    def path_for(self, assignment: Assignment, task: str | None, file_name: str | None) -> Path:
        """Hand out a path that can be written to at once; each call for a numbered key gives a new one."""
        target = target_of(assignment, task, file_name, self._layout)
        if not assignment.numbered:
            for promise in self._promises:
                if promise.target == target:
                    return promise.path
        ordinal = len(self._promises) + 1
        path = self.folder / _OUT / f"{ordinal:04d}" / target.rpartition("/")[2]
        with named_failures(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._promises.append(_Promise(assignment, task, path, target))
        return path

    def seal(self) -> list[Artefact]:
        """Make what was written durable, reserve its numbers, and say where it will lie.

        Paths that were handed out and never written are dropped. JSON files that refer to files of this
        attempt, such as stored models, get the final places instead.

        Returns:
            The artefacts, for the commit record. A second call returns the same.

        Raises:
            SealError: A path holds a folder, a link or something else that is no plain file.
            WriteFailedError: The disk is full, broken or read-only.
        """
        if self._artefacts is None:
            self._artefacts = self._seal() if self._promises else []
        return self._artefacts

    def _seal(self) -> list[Artefact]:
        written = [promise for promise in self._promises if _is_written(promise)]
        self._warn_of_strays({promise.path for promise in written})
        numbers, stamp = self._reserve(written)
        created = datetime.fromtimestamp(stamp / 1e6, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        targets = {
            promise.path: _with_number(promise.target, numbers.get(promise.path)) for promise in written
        }
        self._final = {str(path): target for path, target in targets.items()}
        artefacts = []
        for promise in written:
            path = promise.path
            with named_failures(path):
                self._redirect_references(path)
                fsync_file(path)
                found = path.stat()
                artefacts.append(
                    Artefact(
                        key=promise.assignment.key,
                        task=promise.task,
                        path=targets[path],
                        source=path.relative_to(self.folder).as_posix(),
                        number=numbers.get(path),
                        size=found.st_size,
                        sha256=sha256_file(path),
                        created=created,
                    )
                )
            self.fingerprints[path] = fingerprint(found)
        self._fsync_folders(written)
        return artefacts

    def _reserve(self, written: list[_Promise]) -> tuple[dict[Path, int], int]:
        store = ArtefactStore(self._layout.project)
        stamp = max([time.time_ns() // 1000, *(made + 1 for made in _replaced(written, store))])
        given: dict[Path, int] = {}
        lasting = Numbers(self._layout.numbers, lambda slot: store.newest_time(slot.key, slot.task))
        rooms = ((False, lasting), (True, Numbers(self._layout.temp_numbers)))
        pending: list[Callable[[int], None]] = []
        for temporary, numbers in rooms:
            asking = [
                promise
                for promise in written
                if promise.assignment.numbered and promise.assignment.temporary is temporary
            ]
            if not asking:
                continue
            wanted = [Slot(promise.assignment.key, slot(promise.task)) for promise in asking]
            reserved = numbers.reserve(self.identity, wanted)
            given.update(zip((promise.path for promise in asking), reserved.numbers, strict=True))
            stamp = max(stamp, reserved.not_before + 1)

            def advance(
                when: int,
                room: Numbers = numbers,
                slots: list[Slot] = wanted,
                taken: list[int] = reserved.numbers,
            ) -> None:
                room.advance(slots, taken, when)

            pending.append(advance)
        for action in pending:
            action(stamp)
        return given, stamp

    def _redirect_references(self, path: Path) -> None:
        if path.suffix != ".json":
            return
        text = path.read_bytes()
        relative = self._relative_folder()
        if os.fsencode(self.folder.name) not in text:
            return
        try:
            content = json.loads(text)
        except ValueError:
            return

        def redirect(value: Any) -> Any:
            if isinstance(value, str):
                if relative and value.startswith(f"{relative}/"):
                    return self._target_of(self._layout.project / value)
                if value.startswith(f"{self.folder}/"):
                    return str(self._layout.project / self._target_of(Path(value)))
                return value
            if isinstance(value, dict):
                return {key: redirect(item) for key, item in value.items()}
            return [redirect(item) for item in value] if isinstance(value, list) else value

        changed = redirect(content)
        if changed != content:
            write_bytes(path, json.dumps(changed, indent=2, ensure_ascii=False).encode() + b"\n")

    def _relative_folder(self) -> str:
        if self.folder.is_relative_to(self._layout.project):
            return self.folder.relative_to(self._layout.project).as_posix()
        return ""

    def _target_of(self, path: Path) -> str:
        try:
            return self._final[str(path)]
        except KeyError:
            raise UnwrittenPathError(
                f"The step hands on '{path}', which is gone after it: either nothing was written there, "
                "or the path is not from construct_saving_path; write the file, or do not hand the path on."
            ) from None

    def _fsync_folders(self, written: list[_Promise]) -> None:
        if not written:
            return
        folders = {promise.path.parent for promise in written}
        for folder in (*sorted(folders), self.folder / _OUT, self.folder, self.folder.parent):
            fsync_dir(folder)

    def _warn_of_strays(self, known: set[Path]) -> None:
        for root, _, names in os.walk(self.folder / _OUT):
            for name in names:
                if Path(root, name) not in known:
                    _log.warning(
                        "'%s' lies beside a saving path but has none of its own and is dropped; "
                        "ask construct_saving_path for each file.",
                        name,
                    )

    def rewrite(self, obj: Any) -> Any:
        """Return ``obj`` with each path of this attempt replaced by the final one.

        Args:
            obj: A path, a JSON value, a dataclass such as ModelStorage, or a Struct; nested as it likes.

        Raises:
            UnwrittenPathError: It holds a path into the attempt's folder at which no artefact lies.
        """
        self.seal()
        return self._rewrite(obj)

    def _rewrite(self, obj: Any) -> Any:
        if isinstance(obj, Path):
            inside = f"{obj}/".startswith(f"{self.folder}/")
            return self._layout.project / self._target_of(obj) if inside else obj
        if isinstance(obj, str):
            inside = obj.startswith(f"{self.folder}/")
            return str(self._layout.project / self._target_of(Path(obj))) if inside else obj
        if isinstance(obj, dict):
            return {key: self._rewrite(value) for key, value in obj.items()}
        if isinstance(obj, tuple) and hasattr(obj, "_fields"):
            return type(obj)(*map(self._rewrite, obj))
        if isinstance(obj, (list, tuple, set)):
            return type(obj)(map(self._rewrite, obj))
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            fields = [field.name for field in dataclasses.fields(obj) if field.init]
            return dataclasses.replace(obj, **{name: self._rewrite(getattr(obj, name)) for name in fields})
        if isinstance(obj, msgspec.Struct):
            names = obj.__struct_fields__
            return msgspec.structs.replace(obj, **{name: self._rewrite(getattr(obj, name)) for name in names})
        return obj

    def discard(self) -> None:
        """Remove all the attempt wrote; it must not have been committed."""
        remove_folder(self.folder)


def _is_written(promise: _Promise) -> bool:
    try:
        mode = promise.path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(mode):
        kind = (
            "a folder" if stat.S_ISDIR(mode) else "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
        )
        raise SealError(
            f"The saving path of key '{promise.assignment.key}' for '{promise.target}' holds {kind}; "
            "write a plain file there."
        )
    return True


def _replaced(written: list[_Promise], store: ArtefactStore) -> Iterator[int]:
    """Yield when the files were made, in microseconds, whose places will be taken: the later one stays."""
    for promise in written:
        if not (promise.assignment.numbered or promise.assignment.temporary):
            yield store.made_at(promise.assignment.key, promise.task, promise.target)


def _with_number(target: str, number: int | None) -> str:
    if number is None:
        return target
    folder, slash, name = target.rpartition("/")
    return f"{folder}{slash}{numbered(name, number)}"
