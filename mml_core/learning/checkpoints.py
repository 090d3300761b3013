"""Checkpoints that are whole or not there, wherever ``TMPDIR`` is."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from typing_extensions import Buffer, override

from mml_core.errors import MMLError
from mml_core.storage.atomic import TEMP_PREFIX, fsync_dir, writing

log = logging.getLogger(__name__)

_SEAL = b"mml:sha256"
_SEAL_LENGTH = len(_SEAL) + hashlib.sha256().digest_size
_CHUNK = 1 << 20


class CheckpointError(MMLError):
    """A checkpoint cannot be read."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its place, syncs it, renames it, syncs the folder; a failure raises.

    A hash at its end tells whether it is still what was written. Reading accepts tensors and plain values
    only, so that a foreign checkpoint runs no code.
    """

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write ``checkpoint`` to ``path``.

        Raises:
            WriteFailedError: If the disk is full or broken; what was under ``path`` before is kept.
        """
        if storage_options is not None:
            raise TypeError("AtomicCheckpointIO takes no storage options; leave them out.")
        with writing(Path(path)) as temporary, temporary.open("wb") as file:
            hashing = _Hashing(file)
            try:
                torch.save(checkpoint, hashing)  # type: ignore[arg-type]  # it needs write and flush only
            except RuntimeError as error:  # torch wraps what went wrong while it was closing its archive
                raise (_os_error_behind(error) or error) from error
            file.write(_SEAL + hashing.digest())

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint of tensors and plain values.

        Raises:
            CheckpointError: If it is missing, damaged, or holds anything else.
        """
        import pickle

        try:
            with Path(path).open("rb") as file:
                _check_seal(file, path)
                loaded: dict[str, Any] = torch.load(
                    file, map_location=map_location or "cpu", weights_only=True
                )
        except FileNotFoundError as error:
            raise CheckpointError(f"Checkpoint {path} is not there; train again or name another.") from error
        except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            cause = (str(error).strip().splitlines() or ["unreadable"])[0]
            raise CheckpointError(f"Checkpoint {path} cannot be read: {cause}") from error
        return loaded

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint if it is there."""
        place = Path(path)
        if place.exists():
            place.unlink()
            fsync_dir(place.parent)


class FitCheckpoints:
    """The checkpoints of one fit: those that earlier attempts at it left, and those of this one.

    Args:
        folder: Where this attempt writes.
        earlier: Where earlier attempts wrote, newest first.
        keep: How many of the newest are kept, 1 or more.
    """

    def __init__(self, folder: Path, earlier: Iterable[Path] = (), keep: int = 2) -> None:
        self.folder = folder
        self._keep = keep
        self._earlier = tuple(earlier)
        self._kept: list[Path] = []  # newest first

    def newest_whole(self) -> Path | None:
        """Return the newest whole checkpoint of an earlier attempt; the log names those that are broken."""
        found = [
            path for folder in self._earlier for path in sorted(folder.glob("batch-*.ckpt"), reverse=True)
        ]
        for number, path in enumerate(found):
            try:
                AtomicCheckpointIO().load_checkpoint(path)
            except CheckpointError as error:
                log.warning("%s; the one before it is taken.", error)
            else:
                self._kept = found[number:]
                return path
        if found:
            log.warning("No checkpoint in %s is whole; the training starts over.", found[0].parent)
        return None

    def path_after(self, batches: int) -> Path:
        """Return the place of the checkpoint after so many batches."""
        return self.folder / f"batch-{batches:09d}.ckpt"

    def note(self, path: Path) -> None:
        """Note that a checkpoint was written, and delete those that it makes superfluous."""
        self._kept.insert(0, path)
        for old in self._kept[self._keep :]:
            AtomicCheckpointIO().remove_checkpoint(old)
        del self._kept[self._keep :]
        for folder in self._earlier:
            for unfinished in folder.glob(f"{TEMP_PREFIX}*"):
                unfinished.unlink()


class _Hashing:
    """A file to write to that hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: Buffer) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def digest(self) -> bytes:
        return self._hash.digest()


def _check_seal(file: BinaryIO, path: str | Path) -> None:
    """Compare a checkpoint with the hash at its end, and go back to its beginning."""
    size = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
    file.seek(max(0, size))
    seal = file.read()
    file.seek(0)
    state = hashlib.sha256()
    for start in range(0, size, _CHUNK):
        state.update(file.read(min(_CHUNK, size - start)))
    if seal != _SEAL + state.digest():
        raise CheckpointError(f"Checkpoint {path} cannot be read: it is not what was written")
    file.seek(0)


def _os_error_behind(error: BaseException) -> OSError | None:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    return seen
