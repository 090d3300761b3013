"""Sessions: what a script saves in a ``with MMLFileManager(...)`` block, committed as one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mml_core.files.artefacts import Artefact
from mml_core.files.attempts import Attempt
from mml_core.files.errors import DamagedArtefactError
from mml_core.storage.atomic import fsync_dir, make_dirs
from mml_core.storage.links import commit_record

if TYPE_CHECKING:
    from mml_core.files.manager import MMLFileManager

_STEP = "session"


class _SessionRecord(msgspec.Struct, frozen=True):
    """The commit record of a session."""

    run: str
    artefacts: list[Artefact]


def begin(manager: MMLFileManager) -> Attempt:
    """Return the attempt that takes what the block saves; it makes no folder before something is saved."""
    layout = manager.layout
    return Attempt(layout.attempts / _STEP, f"{layout.run}/{_STEP}", layout)


def commit(manager: MMLFileManager, attempt: Attempt) -> None:
    """Commit and publish what the block saved."""
    artefacts = attempt.seal()
    if artefacts:
        layout = manager.layout
        make_dirs(layout.sessions)
        record = msgspec.json.encode(_SessionRecord(layout.run, artefacts))
        final = layout.sessions / f"{layout.run}.json"
        commit_record(record, attempt.folder / "record.json", final)
        _publish(manager, final)
    attempt.discard()
    with suppress(OSError):
        attempt.folder.parent.rmdir()


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
    folder = manager.layout.attempts.with_name(record.run) / _STEP
    manager.publish(record.artefacts, folder, run=record.run, step=_STEP)
    with suppress(FileNotFoundError):
        path.unlink()
        fsync_dir(path.parent)
