"""Sessions: what a script saves in a ``with MMLFileManager(...)`` block, committed as one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mml_core.files.artefacts import Artefact
from mml_core.files.assignments import Assignment
from mml_core.files.attempts import Attempt
from mml_core.files.cleanup import clean_up
from mml_core.files.errors import DamagedArtefactError
from mml_core.files.folders import remove_folder
from mml_core.files.layout import Layout
from mml_core.storage.atomic import fsync_dir, make_dirs
from mml_core.storage.leases import Lease
from mml_core.storage.links import commit_record

if TYPE_CHECKING:
    from mml_core.files.manager import MMLFileManager

_STEP = "session"


class _SessionRecord(msgspec.Struct, frozen=True):
    """The commit record of a session: what it saved, and the keys whose files go once all is published."""

    run: str
    artefacts: list[Artefact]
    clean_up: list[str] = []


class Session(Attempt):
    """The attempt that takes what a block saves; a script shows by a lease that it lives.

    It makes no folder before something is saved.

    Args:
        layout: The folders of the script, or of the run that the block belongs to.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.attempts / _STEP, f"{layout.run}/{_STEP}", layout)
        self._lease: Lease | None = None

    def path_for(self, assignment: Assignment, task: str | None, file_name: str | None) -> Path:
        """Hand out a path (see `Attempt.path_for`)."""
        if self._layout.is_script and self._lease is None:
            self._lease = Lease.acquire(self._layout.script_lease)
        return super().path_for(assignment, task, file_name)

    def discard(self) -> None:
        """Remove what was not published, and give the lease back."""
        super().discard()
        if self._layout.is_script:
            remove_folder(self._layout.attempts)
        else:
            with suppress(OSError):
                self._layout.attempts.rmdir()
        if self._lease is not None:
            self._lease.release()


def commit(manager: MMLFileManager, session: Session) -> None:
    """Commit and publish what the block saved; then its temporary files go, and those to be cleaned up."""
    artefacts = session.seal()
    if artefacts:
        layout = manager.layout
        make_dirs(layout.sessions)
        record = _SessionRecord(layout.run, artefacts, sorted(manager.clean_up_keys))
        commit_record(msgspec.json.encode(record), session.folder / "record.json", layout.script_record)
        _publish(manager, layout.script_record)
    session.discard()


def finish(manager: MMLFileManager) -> None:
    """Publish what sessions committed whose process died before it was done."""
    try:
        records = sorted(manager.layout.sessions.iterdir())
    except FileNotFoundError:
        return
    for path in records:
        if path.suffix == ".json":
            with suppress(FileNotFoundError):  # its own process, still alive, was quicker
                _publish(manager, path)


def _publish(manager: MMLFileManager, path: Path) -> None:
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_SessionRecord)
    except msgspec.DecodeError as error:
        raise DamagedArtefactError(f"The record '{path}' is damaged ({error}); move it away.") from error
    layout = Layout(manager.project_path, record.run)
    manager.publish(record.artefacts, layout.attempts / _STEP, run=record.run, step=_STEP)
    if layout.is_script:
        clean_up(layout, record.artefacts, record.clean_up)
    with suppress(FileNotFoundError):
        path.unlink()
        fsync_dir(path.parent)
